"""Puts the manifest's podTemplate over a pod template, as `kubectl patch --type=strategic` would.

Lists of a pod that have a merge key in Kubernetes are merged by it; all other lists are replaced; null removes a field.
Of the patch directives, `$patch: delete` and `$patch: replace` are understood. One thing is kinder than the original:
where an object is one of several (a probe's handler, a volume's source, a variable's value), giving another one takes
the place of the first, rather than leaving two that the API server then refuses.
"""

from collections.abc import Mapping
from typing import Any, Final

from omnipipe_operator.observed import Object

__all__ = ["merged"]

_MERGE_KEYS: Final = {
    "containers": "name",
    "initContainers": "name",
    "volumes": "name",
    "env": "name",
    "ports": "containerPort",
    "volumeMounts": "mountPath",
    "volumeDevices": "devicePath",
    "imagePullSecrets": "name",
    "hostAliases": "ip",
    "topologySpreadConstraints": "topologyKey",
    "resourceClaims": "name",
    "schedulingGates": "name",
}
"""Field of a PodSpec or Container -> `patchMergeKey` of its entries (k8s.io/api/core/v1). No two of them are called the
same, so the field's own name is enough to go by."""
_HANDLERS: Final = frozenset({"exec", "httpGet", "tcpSocket", "grpc"})
_ONE_OF: Final = {
    "livenessProbe": _HANDLERS,
    "readinessProbe": _HANDLERS,
    "startupProbe": _HANDLERS,
    "postStart": _HANDLERS | {"sleep"},
    "preStop": _HANDLERS | {"sleep"},
    "env": frozenset({"value", "valueFrom"}),
}
_DIRECTIVE: Final = "$patch"


def merged(base: Object, patch: Mapping[str, Any]) -> Object:
    """A new object; neither argument is changed, though parts of both are in it."""
    return _map("", base, patch)


def _map(field: str, base: Object, patch: Mapping[str, Any]) -> Object:
    if patch.get(_DIRECTIVE) == "replace":
        return _clean(patch)
    result = _without_alternatives(field, base, patch)
    for name, value in patch.items():
        if name == _DIRECTIVE:
            continue
        if value is None or (isinstance(value, Mapping) and value.get(_DIRECTIVE) == "delete"):
            result.pop(name, None)
        else:
            result[name] = _value(name, result.get(name), value)
    return result


def _value(field: str, base: Any, patch: Any) -> Any:
    if isinstance(patch, Mapping):
        return _map(field, base if isinstance(base, dict) else {}, patch)
    key = _MERGE_KEYS.get(field)
    if isinstance(patch, list) and key is not None and all(isinstance(item, Mapping) for item in patch):
        return _list(field, key, base if isinstance(base, list) else [], patch)
    return patch


def _list(field: str, key: str, base: list[Object], patch: list[Mapping[str, Any]]) -> list[Object]:
    """In the base's order, what is new behind it."""
    if any(item.get(_DIRECTIVE) == "replace" and len(item) == 1 for item in patch):
        return [_clean(item) for item in patch if len(item) > 1]
    result = list(base)
    for item in patch:
        at = next((index for index, one in enumerate(result) if _same(field, key, one, item)), None)
        if item.get(_DIRECTIVE) == "delete":
            if at is not None:
                del result[at]
        elif at is None:
            result.append(_map(field, {}, item))
        else:
            result[at] = _map(field, result[at], item)
    return result


def _same(field: str, key: str, one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    if one.get(key) != other.get(key):
        return False
    return field != "ports" or one.get("protocol", "TCP") == other.get("protocol", "TCP")


def _without_alternatives(field: str, base: Object, patch: Mapping[str, Any]) -> Object:
    """The base without those alternatives that the patch gives another of."""
    if field == "volumes":
        alternatives = frozenset(base) | frozenset(patch) - {"name", _DIRECTIVE}
        alternatives -= {"name"}
    else:
        alternatives = _ONE_OF.get(field, frozenset())
    given = alternatives & {name for name, value in patch.items() if value is not None}
    if not given:
        return dict(base)
    return {name: value for name, value in base.items() if name not in alternatives or name in given}


def _clean(patch: Mapping[str, Any]) -> Object:
    return _map("", {}, {name: value for name, value in patch.items() if name != _DIRECTIVE})
