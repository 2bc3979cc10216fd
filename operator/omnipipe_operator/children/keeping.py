"""Live objects as they could be applied again: for those whose manifest is gone, as an old cohort's are."""

from typing import Any, Final

from omnipipe_operator.children.labels import APPLIED
from omnipipe_operator.observed import Object

__all__ = ["kept"]

_METADATA: Final = ("name", "namespace", "labels", "annotations", "ownerReferences")
_SERVER_ANNOTATIONS: Final = frozenset({APPLIED, "deployment.kubernetes.io/revision"})


def kept(live: Object, *, replicas: int | None = None) -> Object:
    """With that many replicas, if given. What the server or its controllers wrote into the head is left out; the rest,
    its defaults included, is applied as it stands."""
    metadata: dict[str, Any] = {name: live["metadata"][name] for name in _METADATA if live["metadata"].get(name)}
    annotations = metadata.pop("annotations", {})
    annotations = {name: value for name, value in annotations.items() if name not in _SERVER_ANNOTATIONS}
    if annotations:
        metadata["annotations"] = annotations
    result = {name: value for name, value in live.items() if name not in ("metadata", "status")}
    result["metadata"] = metadata
    if replicas is not None:
        result["spec"] = {**live["spec"], "replicas": replicas}
    return result
