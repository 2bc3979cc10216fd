"""The CustomResourceDefinitions of OmniPipeline and OmniStage: schema, rules between fields, columns, subresources.

Pure: `render_crds` gives the text of the files in crds/, `scripts/generate.py` writes them and a test compares them.
The schemas come from `manifest` and `status`, the rules from `cel`; only what neither can know stands here.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import yaml

from omnipipe.spec.cel import PIPELINE_RULES, STAGE_RULES, name_rules
from omnipipe.spec.cluster_cel import CLUSTER_RULES
from omnipipe.spec.manifest import API_VERSION, KIND, Pipeline
from omnipipe.spec.status import OmniStage, PipelineStatus
from omnipipe.spec.structural import Schema, at, structural

__all__ = ["pipeline_crd", "render_crds", "stage_crd"]

_GROUP, _VERSION = API_VERSION.split("/")
_HEADER: Final = "# Generated from omnipipe.spec by `make generate`; a test compares. Do not edit.\n"

_LONGEST_NAME: Final = 253
"""Of any object, as the API server has it; said again because rules point at the name, and their cost depends on it."""

_LISTS: Final[dict[str, Schema]] = {
    "spec.stages": {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
    "spec.outputs": {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
    "spec.edges": {"x-kubernetes-list-type": "atomic"},
    "spec.gateway.servedModelNames": {"x-kubernetes-list-type": "set"},
    "spec.gateway.httpRoute.parentRefs": {"x-kubernetes-list-type": "atomic"},
    "spec.gateway.httpRoute.hostnames": {"x-kubernetes-list-type": "set"},
    "spec.networkPolicy.clientSelectors": {"x-kubernetes-list-type": "atomic"},
    "spec.stages[].autoscaling.metrics": {"x-kubernetes-list-type": "atomic"},
    "status.conditions": {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
    "status.stages": {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
}
"""The edges are one piece, no map: a map's keys must be required, and two stages may be joined by several edges that
differ in `port` or `input` alone, which are optional. (A set of objects cannot be applied on the server's side.)"""

_PODS: Final = ("spec.pod", "spec.stages[].pod", "spec.gateway.pod")
_POD_LISTS: Final[dict[str, Schema]] = {
    "env": {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
    "imagePullSecrets": {"x-kubernetes-list-type": "set"},
    "tolerations": {"x-kubernetes-list-type": "atomic"},
}

_LEFT_OUT: Final = (
    "spec.gateway.queueTimeoutSeconds",  # must be below requestTimeoutSeconds, but only where both are given
    "spec.gateway.requestTimeoutSeconds",
    "spec.model.cache.type",  # so that there is no cache beside a source that needs none
    "spec.model.cache.accessMode",  # belongs to one type of cache
    "spec.gateway.service.type",  # and these so that what is not asked for is not there
    "spec.gateway.service.port",
    "spec.monitoring.enabled",
    "spec.suspend",
    "spec.paused",
)
"""Fields whose default the server must not fill in, for that they were left out means something."""


def pipeline_crd() -> Schema:
    schema = structural(Pipeline)
    name = at(schema, "metadata.name")
    words = "A model served as a pipeline of stages behind an OpenAI-compatible gateway."
    root = _root(words, name["description"], at(schema, "spec"))
    root["properties"]["status"] = structural(PipelineStatus)
    root["properties"]["status"]["description"] = "What stands of the pipeline. The operator writes it."
    root["x-kubernetes-validations"] = name_rules(name)
    lists = _LISTS | {f"{pod}.{name}": kind for pod in _PODS for name, kind in _POD_LISTS.items()}
    for path, kind in lists.items():
        at(root, path).update(kind)
    for path in _LEFT_OUT:
        _take_default(root, path)
    _add_rules(root, PIPELINE_RULES)
    _add_rules(root, CLUSTER_RULES)
    columns = [
        _column("Ready", '.status.conditions[?(@.type=="Ready")].status'),
        _column("Reason", '.status.conditions[?(@.type=="Ready")].reason'),
        _column("Stages", ".status.readyStages", description="Routable stages of all stages."),
        _column("Revision", ".status.revision"),
        _column("URL", ".status.url"),
        _column("Age", ".metadata.creationTimestamp", "date"),
        _wide("Family", ".spec.model.family"),
        _wide("Message", '.status.conditions[?(@.type=="Ready")].message'),
    ]
    return _crd(KIND, "omnipipelines", {"shortNames": ["omni"], "categories": ["all"]}, root, columns, {"status": {}})


def stage_crd() -> Schema:
    schema = structural(OmniStage)
    root = _root(schema["description"], "<spec.pipeline>-<spec.stage>.", at(schema, "spec"))
    root["properties"]["status"] = at(schema, "status")
    _add_rules(root, STAGE_RULES)
    columns = [
        _column("Pipeline", ".spec.pipeline"),
        _column("Stage", ".spec.stage"),
        _column("Desired", ".spec.replicas", "integer"),
        _column("Ready", ".status.readyReplicas", "integer"),
        _column("Age", ".metadata.creationTimestamp", "date"),
    ]
    scale = {
        "specReplicasPath": ".spec.replicas",
        "statusReplicasPath": ".status.replicas",
        "labelSelectorPath": ".status.selector",
    }
    return _crd("OmniStage", "omnistages", {}, root, columns, {"status": {}, "scale": scale})


def render_crds() -> dict[str, str]:
    """File name -> text."""
    return {"omnipipelines.yaml": _text(pipeline_crd()), "omnistages.yaml": _text(stage_crd())}


def _root(description: str, name_description: str, spec: Schema) -> Schema:
    name = {"type": "string", "description": name_description, "maxLength": _LONGEST_NAME}
    return {
        "type": "object",
        "description": description,
        "required": ["spec"],
        "properties": {
            "apiVersion": {"type": "string", "description": f"Version of this schema: {API_VERSION}."},
            "kind": {"type": "string", "description": "What kind of object this is."},
            "metadata": {"type": "object", "properties": {"name": name}},
            "spec": {"description": "What there should be.", **spec},
        },
    }


def _add_rules(root: Schema, rules: Mapping[str, Sequence[Schema]]) -> None:
    for path, some in rules.items():
        at(root, path).setdefault("x-kubernetes-validations", []).extend(some)


def _take_default(root: Schema, path: str) -> None:
    """Moves it from where the server would act upon it into the words."""
    names = path.split(".")
    for length in range(1, len(names)):
        _take_out(at(root, ".".join(names[:length])), names[length:])
    part = at(root, path)
    default = part.pop("default")
    if default is not False:
        part["description"] += f" {default if isinstance(default, str) else format(default, 'g')} if left out."


def _take_out(section: Schema, names: Sequence[str]) -> None:
    """Out of the section's own default, which is none when nothing is left of it."""
    *parents, last = names
    parts = [section.get("default", {})]
    for name in parents:
        parts.append(parts[-1].get(name, {}))
    parts[-1].pop(last, None)
    for parent, name in zip(reversed(parts[:-1]), reversed(parents), strict=True):
        if parent.get(name) == {}:
            del parent[name]
    if section.get("default") == {}:
        del section["default"]


def _column(name: str, path: str, kind: str = "string", description: str = "") -> Schema:
    return {"name": name, "type": kind, "jsonPath": path} | ({"description": description} if description else {})


def _wide(name: str, path: str) -> Schema:
    """Shown by `kubectl get -o wide` alone."""
    return {**_column(name, path), "priority": 1}


def _crd(
    kind: str,
    plural: str,
    extra_names: Schema,
    root: Schema,
    columns: list[Schema],
    subresources: Schema,
) -> Schema:
    names = {"kind": kind, "listKind": f"{kind}List", "plural": plural, "singular": kind.lower()}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{_GROUP}"},
        "spec": {
            "group": _GROUP,
            "scope": "Namespaced",
            "names": names | extra_names,
            "versions": [
                {
                    "name": _VERSION,
                    "served": True,
                    "storage": True,
                    "schema": {"openAPIV3Schema": root},
                    "subresources": subresources,
                    "additionalPrinterColumns": columns,
                }
            ],
        },
    }


class _Plain(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        """Every part in full: not every reader of a CRD knows YAML's anchors."""
        return True


def _text(crd: Schema) -> str:
    return _HEADER + yaml.dump(crd, Dumper=_Plain, sort_keys=False, allow_unicode=True, width=120)
