"""How a stage's pod comes to the weights: what is mounted, what is fetched before, what its plan calls the source.

A stage reads weights from its own file system and never from the network; what fetches them is an init container of the
pod, or one Job for all pods when they share a volume.
"""

from dataclasses import dataclass
from typing import Final, Literal

from omnipipe.spec.manifest import ModelSpec, PipelineSpec
from omnipipe.spec.sources import Source, parse_source
from omnipipe_operator.children import names
from omnipipe_operator.children.owner import Owner
from omnipipe_operator.observed import Object
from omnipipe_operator.settings import OperatorSettings

__all__ = ["FOLDER", "Weights", "draft_problem", "draft_source", "drafts_of", "source_problem", "weights_of"]

FOLDER: Final = "/models"
_VOLUME: Final = "models"
_OFFLINE: Final = ({"name": "OMNIPIPE_MODELS", "value": FOLDER}, {"name": "HF_HUB_OFFLINE", "value": "1"})


@dataclass(frozen=True, slots=True)
class Weights:
    source: str | None = None
    """`spec.model.source` as the pod sees it."""
    volume: Object | None = None
    env: tuple[Object, ...] = ()
    fetched_by: Literal["nobody", "pod", "job"] = "nobody"
    claim: str = ""
    """The volume that the Job fetches into."""

    @property
    def volumes(self) -> list[Object]:
        return [] if self.volume is None else [self.volume]

    def mounts(self, *, writable: bool = False) -> list[Object]:
        if self.volume is None:
            return []
        mount: Object = {"name": _VOLUME, "mountPath": FOLDER}
        return [mount if writable else {**mount, "readOnly": True}]

    @property
    def writable_volume(self) -> Object:
        return {"name": _VOLUME, "persistentVolumeClaim": {"claimName": self.claim}}


def weights_of(model: ModelSpec, owner: Owner) -> Weights:
    if model.source is None:
        return Weights()
    source = parse_source(model.source)
    match source.scheme:
        case "file":
            return Weights(f"file://{FOLDER}", {"name": _VOLUME, "hostPath": {"path": source.location}})
        case "pvc":
            claim, _, path = source.location.partition("/")
            return Weights(f"file://{FOLDER}/{path}".rstrip("/"), _claimed(claim))
        case "hf":
            return _hub(model, model.source, owner)
        case _:
            return Weights(model.source)


def drafts_of(spec: PipelineSpec, stage: str | None = None) -> tuple[str, ...]:
    """Draft models that are fetched beside the model, for one stage or for all."""
    drafts = [one.draft.source for one in spec.stages if one.draft is not None and stage in (None, one.name)]
    return tuple(sorted({source for source in drafts if parse_source(source).scheme == "hf"}))


def draft_source(source: str) -> str:
    """As the pod sees it, where `draft_problem` has nothing to say."""
    parsed = parse_source(source)
    if parsed.scheme != "pvc":
        return source
    return f"file://{FOLDER}/{parsed.location.partition('/')[2]}".rstrip("/")


def draft_problem(spec: PipelineSpec) -> str | None:
    """Why no pod can load a stage's draft model: it comes the way that the model comes, or not at all."""
    model = None if spec.model.source is None else parse_source(spec.model.source)
    for index, stage in enumerate(spec.stages):
        if stage.draft is None:
            continue
        draft, wrong = parse_source(stage.draft.source), None
        match draft.scheme:
            case "builtin":
                continue
            case "hf" if model is None or model.scheme != "hf":
                wrong = "hf:// is fetched on a cluster beside a model from hf:// only"
            case "pvc" if model is None or (model.scheme, _claim(model)) != ("pvc", _claim(draft)):
                wrong = "a pvc:// has to be on the claim that spec.model.source names"
            case "hf" | "pvc":
                continue
            case scheme:
                wrong = f"{scheme}:// is not loadable on a cluster for a draft model; use hf:// or pvc://"
        return f"spec.stages[{index}].draft.source: {wrong}"
    return None


def _claim(source: Source) -> str:
    return source.location.partition("/")[0]


def source_problem(model: ModelSpec, settings: OperatorSettings) -> str | None:
    """Why no pod of this operator's can load it."""
    if model.source is None:
        return None
    scheme = parse_source(model.source).scheme
    match scheme:
        case "s3" | "oci":
            return f"spec.model.source: {scheme}:// is not loadable on a cluster yet; use hf:// or pvc://"
        case "file" if not settings.allow_host_path:
            return (
                "spec.model.source: file:// is a folder of the node, which this operator is not allowed to mount "
                "(its setting --allow-host-path); use pvc:// or hf://"
            )
        case _:
            return None


def _hub(model: ModelSpec, source: str, owner: Owner) -> Weights:
    cache = model.cache
    if cache.type == "EmptyDir":
        folder: Object = {} if cache.size_limit is None else {"sizeLimit": cache.size_limit}
        return Weights(source, {"name": _VOLUME, "emptyDir": folder}, _OFFLINE, "pod")
    claim = cache.claim_name if cache.type == "ExistingClaim" else None
    claim = claim or names.claim(owner.name)
    return Weights(source, _claimed(claim), _OFFLINE, "job", claim)


def _claimed(claim: str) -> Object:
    """Read-only as a whole, so that kubelets change nobody's ownership in it and claims of mode ReadOnlyMany work."""
    return {"name": _VOLUME, "persistentVolumeClaim": {"claimName": claim, "readOnly": True}}
