"""How a stage's pod comes to the weights: what is mounted, what is fetched before, what its plan calls the source.

A stage reads weights from its own file system and never from the network; what fetches them is an init container of the
pod, or one Job for all pods when they share a volume.
"""

from dataclasses import dataclass
from typing import Final, Literal

from omnipipe.spec.manifest import ModelSpec
from omnipipe.spec.sources import parse_source
from omnipipe_operator.children import names
from omnipipe_operator.children.owner import Owner
from omnipipe_operator.observed import Object
from omnipipe_operator.settings import OperatorSettings

__all__ = ["FOLDER", "Weights", "source_problem", "weights_of"]

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
