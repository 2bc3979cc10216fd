"""Server-side apply in the small, for one field manager: what it set before and no longer sets goes, what it sets now
counts, and what others set stays. Lists are taken as a whole. Pure."""

import copy
from collections.abc import Mapping
from typing import Any

from omnipipe_operator.observed import Object

__all__ = ["merge_applied", "without_status"]


def without_status(value: Object) -> Object:
    return {name: part for name, part in value.items() if name != "status"}


def merge_applied(desired: Object, before: Object | None, live: Object | None) -> Object:
    merged: Object = copy.deepcopy(live or {})
    if before is not None:
        _drop(merged, before, desired)
    _set(merged, desired)
    return merged


def _drop(value: dict[str, Any], before: Mapping[str, Any], desired: Mapping[str, Any]) -> None:
    for name, part in before.items():
        if name not in desired:
            value.pop(name, None)
        elif isinstance(part, Mapping) and isinstance(value.get(name), dict) and isinstance(desired[name], Mapping):
            _drop(value[name], part, desired[name])


def _set(value: dict[str, Any], desired: Mapping[str, Any]) -> None:
    for name, part in desired.items():
        if isinstance(part, Mapping) and isinstance(value.get(name), dict):
            _set(value[name], part)
        else:
            value[name] = copy.deepcopy(part)
