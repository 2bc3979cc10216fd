"""Which fields of the manifest have their effect on a cluster only: `omnipipe serve` names those that were given, and
the reader looks past a wrong one to find what else is wrong."""

from collections.abc import Iterable
from typing import Final

from pydantic import BaseModel

from omnipipe.spec.errors import PathKey
from omnipipe.spec.manifest import PipelineSpec

__all__ = ["given_for_clusters", "section_for_clusters"]

_SECTIONS: Final = (
    "spec.model.cache",
    "spec.model.tokenSecret",
    "spec.stages[].autoscaling",
    "spec.stages[].pod",
    "spec.gateway.replicas",
    "spec.gateway.apiKeysSecret",
    "spec.gateway.service",
    "spec.gateway.ingress",
    "spec.gateway.httpRoute",
    "spec.gateway.pod",
    "spec.pod",
    "spec.rollout",
    "spec.suspend",
    "spec.paused",
    "spec.networkPolicy",
    "spec.monitoring",
    "spec.disruptionBudget",
)


def section_for_clusters(path: PathKey) -> PathKey | None:
    """The beginning of the path that is one of these fields."""
    for length in range(2, len(path) + 1):
        if _general(path[:length]) in _SECTIONS:
            return path[:length]
    return None


def given_for_clusters(spec: PipelineSpec) -> tuple[str, ...]:
    """The fields that are not as they would be had they been left out."""
    return tuple(path for path in _SECTIONS if _is_given([spec], path.split(".")[1:]))


def _general(path: PathKey) -> str:
    return "".join("[]" if isinstance(key, int) else f".{key}" for key in path).removeprefix(".")


def _is_given(parts: Iterable[BaseModel], names: list[str]) -> bool:
    name, *further = names
    for part in parts:
        field, info = next(
            (n, info) for n, info in type(part).model_fields.items() if (info.alias or n) == name.removesuffix("[]")
        )
        value = getattr(part, field)
        if not further:
            if value != info.get_default():
                return True
        elif _is_given(value if name.endswith("[]") else [value], further):
            return True
    return False
