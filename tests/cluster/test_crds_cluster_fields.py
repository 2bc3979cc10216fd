"""The fields for clusters on a real API server: everything at once, as much as there may be, and how they change."""

import copy
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.cluster.namespace import Namespace, Object, Refused, pipeline

from omnipipe.families.registry import family_names, find_family
from omnipipe.spec.errors import ManifestError
from omnipipe.spec.manifest import Pipeline
from omnipipe.spec.reader import read_object

EVERY_FIELD: Object = yaml.safe_load(
    (Path(__file__).parents[1] / "unit" / "spec" / "every-field.yaml").read_text(encoding="utf-8")
)
DRY = "--dry-run=server"
SOURCE = "hf://owner/name"


def test_every_field_is_kept_as_it_was_written(namespace: Namespace) -> None:
    namespace.apply(EVERY_FIELD)

    stored = namespace.get("omni/assistant")

    written = Pipeline.model_validate(EVERY_FIELD)
    own = {"name": stored["metadata"]["name"]}
    assert Pipeline.model_validate({**stored, "metadata": own}).spec == written.spec
    for written_stage, stage in zip(EVERY_FIELD["spec"]["stages"], stored["spec"]["stages"], strict=True):
        assert stage.get("pod", {}).get("podTemplate") == written_stage.get("pod", {}).get("podTemplate")
    assert stored["spec"]["stages"][0]["pod"]["resources"]["limits"]["nvidia.com/gpu"] == 1


def test_what_was_stored_gets_the_same_findings_as_the_file(namespace: Namespace) -> None:
    """The echo family has no source, which only somebody who knows the family can say."""
    namespace.apply(EVERY_FIELD)

    said = []
    for value in (EVERY_FIELD, namespace.get("omni/assistant")):
        with pytest.raises(ManifestError) as caught:
            read_object(value, find_family, family_names())
        said.append(caught.value.findings)
    assert said[0] == said[1]


def largest_pod() -> Object:
    return {
        "env": [{"name": f"VARIABLE_{index:0100}", "value": "x" * 100} for index in range(64)],
        "tolerations": [{"key": f"key-{index}", "operator": "Equal", "value": "v"} for index in range(32)],
        "labels": {f"example.com/label-{index}": "value" for index in range(64)},
        "annotations": {f"example.com/annotation-{index}": "value" for index in range(64)},
        "resources": {"limits": {f"example.com/device-{index}": index for index in range(16)}},
        "podTemplate": {"metadata": {"labels": {f"example.com/more-{index}": "value" for index in range(64)}}},
    }


def test_as_much_as_there_may_be_is_within_the_servers_budget(default: Namespace) -> None:
    stage = {"pod": largest_pod(), "autoscaling": {"maxReplicas": 9, "metrics": [{"type": "Pods"}] * 16}}
    parents = [{"name": f"gateway-{index}-{'x' * 200}", "namespace": "y" * 200} for index in range(16)]
    names = [f"a-stage-called-{index:05}" for index in range(32)]
    value: dict[str, object] = {
        "stages": [{"name": name, **stage} for name in names],
        "pod": largest_pod(),
        "gateway": {"pod": largest_pod(), "httpRoute": {"parentRefs": parents}},
        "networkPolicy": {"clientSelectors": [{"podLabels": {"a": "b"}}] * 16},
    }

    default.apply(pipeline(value), DRY)


def cached(**fields: object) -> Object:
    return pipeline({"model": {"family": "echo", "source": SOURCE, "cache": {"type": "SharedClaim", **fields}}})


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ({"size": "2Gi"}, {"size": "1900Mi"}, "spec.model.cache.size: Invalid value: cannot become smaller"),
        ({"size": "1", "storageClassName": "a"}, {"size": "1", "storageClassName": "b"}, "cannot be changed"),
        ({"size": "1"}, {"size": "1", "storageClassName": "b"}, "cannot be changed"),
        ({"size": "1"}, {"size": "1", "accessMode": "ReadWriteOnce"}, "spec.model.cache.accessMode"),
    ],
)
def test_what_a_volume_cannot_become(before: Object, after: Object, words: str, namespace: Namespace) -> None:
    namespace.apply(cached(**before))

    with pytest.raises(Refused, match=re.escape(words.partition(": Invalid")[0])) as refused:
        namespace.apply(cached(**after))
    assert words.rpartition(": ")[2] in str(refused.value)


def test_what_a_volume_can_become(namespace: Namespace) -> None:
    namespace.apply(cached(size="1Gi"))
    namespace.apply(cached(size="1025Mi"))
    namespace.apply(cached(size=2 << 30, accessMode="ReadWriteMany"))  # which it was, unsaid
    namespace.apply(pipeline({"model": {"family": "echo", "source": SOURCE}}))
    namespace.apply(cached(size="1Gi", storageClassName="another"))


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        (
            {"stages": [{"name": "synth", "replicas": 1, "autoscaling": {"maxReplicas": 2}}]},
            "spec.stages[0].autoscaling: Invalid value",
        ),
        ({"stages": [{"name": "plan"}]}, "must be another name: the pipeline has objects of its own called so"),
        ({"pod": {"resources": {"limits": {"cpu": "4 cores"}}}}, "spec.pod.resources.limits.cpu"),
        ({"pod": {"labels": {"omnipipe.dev/stage": "x"}}}, "holds a key that is the operator's own"),
        ({"gateway": {"httpRoute": {"parentRefs": []}}}, "spec.gateway.httpRoute.parentRefs"),
        ({"gateway": {"ingress": {}}}, "spec.gateway.ingress.host: Required value"),
        ({"model": {"family": "echo", "cache": {}}}, "belongs to a source that is fetched"),
        ({"pod": {"podTemplate": {"containers": []}}}, ".spec.pod.podTemplate.containers: field not declared"),
    ],
)
def test_the_server_says_where_and_what(spec: dict[str, Any], words: str, default: Namespace) -> None:
    with pytest.raises(Refused, match=re.escape(words)):
        default.apply(pipeline(spec), DRY)


def test_one_field_of_a_stage_belongs_to_whoever_applied_it(namespace: Namespace) -> None:
    """Stages and variables are maps by name: two managers may each give their own."""
    stage = {"name": "synth", "pod": {"env": [{"name": "A", "value": "1"}]}}
    namespace.apply(pipeline({"stages": [stage]}), "--field-manager=one")
    other = copy.deepcopy(stage)
    other["pod"] = {"env": [{"name": "B", "value": "2"}]}
    namespace.apply(pipeline({"stages": [other]}), "--field-manager=other")

    [stored] = namespace.get("omni/assistant")["spec"]["stages"]
    assert stored["pod"]["env"] == [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]
