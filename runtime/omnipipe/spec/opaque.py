"""Objects of Kubernetes' own kinds inside the manifest: taken as they are, but small, and of JSON's types alone.

What is in them the API server knows and says when the operator hands them on.
"""

import json
import math
from typing import Annotated, Any, Final

from pydantic import AfterValidator, WithJsonSchema
from pydantic_core import PydanticCustomError

__all__ = ["METRIC_TYPES", "Metric", "Opaque"]

_DEEPEST: Final = 24
"""Levels; the deepest part of a PodSpec has a dozen."""
_LONGEST: Final = 64 << 10
"""Characters as JSON. An object in etcd has room for 1.5 MiB; there may be one of these a stage."""
METRIC_TYPES: Final = ("Resource", "Pods", "Object", "External", "ContainerResource")


def _small(value: dict[str, Any]) -> dict[str, Any]:
    level: list[Any] = [value]
    for _ in range(_DEEPEST):
        level = [part for parent in level for part in _parts(parent)]
        if not level:
            break
    else:
        raise PydanticCustomError("opaque_deep", f"must be nested at most {_DEEPEST} levels deep")
    if len(json.dumps(value)) > _LONGEST:
        raise PydanticCustomError("opaque_long", f"must be at most {_LONGEST} characters long as JSON")
    return value


def _parts(value: object) -> list[Any]:
    match value:
        case dict():
            if not all(isinstance(key, str) for key in value):
                raise PydanticCustomError("opaque_key", "must have strings as keys")
            return list(value.values())
        case list():
            return value
        case None | bool() | int() | str():
            return []
        case float() if math.isfinite(value):
            return []
        case _:
            raise PydanticCustomError("opaque_kind", "must hold what JSON can say, and nothing else")


def _schema(**more: Any) -> WithJsonSchema:
    return WithJsonSchema({"type": "object", "x-kubernetes-preserve-unknown-fields": True, "maxProperties": 64, **more})


Opaque = Annotated[dict[str, Any], AfterValidator(_small), _schema()]
Metric = Annotated[
    dict[str, Any],
    AfterValidator(_small),
    _schema(
        required=["type"],
        properties={
            "type": {"type": "string", "enum": list(METRIC_TYPES), "description": "Which of the others is given."}
        },
    ),
]
