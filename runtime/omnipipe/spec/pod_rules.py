"""Rules between the fields of a pod."""

from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from typing import Any, Final

from omnipipe.spec.errors import PathKey, Problem
from omnipipe.spec.pods import EnvVar, PodFields, PodTemplate, Resources, Toleration
from omnipipe.spec.suggest import kind_of, shown

__all__ = ["RESERVED_LABELS", "RESERVED_PREFIX", "amount", "check_pod"]

RESERVED_PREFIX: Final = "omnipipe.dev/"
RESERVED_LABELS: Final = tuple(f"app.kubernetes.io/{name}" for name in ("name", "managed-by", "part-of", "component"))
"""What the operator finds its pods by."""

_UNITS: Final[dict[str, Decimal]] = {
    "m": Decimal("0.001"),
    "k": Decimal(1000),
    "Ki": Decimal(1024),
    **{unit: Decimal(1000) ** power for power, unit in enumerate("MGTPE", 2)},
    **{f"{unit}i": Decimal(1024) ** power for power, unit in enumerate("MGTPE", 2)},
}


def amount(quantity: str) -> Decimal:
    """The number that a well-formed quantity stands for."""
    digits = quantity.rstrip("mkKMGTPEi")
    return Decimal(digits) * _UNITS.get(quantity.removeprefix(digits), Decimal(1))


def check_pod(pod: PodFields, path: PathKey, base: PodFields | None = None) -> Iterator[Problem]:
    """`base`: the fields that these are added to."""
    shared = base.resources if base is not None else Resources()
    yield from _check_resources(pod.resources, shared, (*path, "resources"))
    yield from _check_keys(pod.labels, (*path, "labels"))
    yield from _check_keys(pod.annotations, (*path, "annotations"))
    for index, name in enumerate(pod.image_pull_secrets):
        if name in pod.image_pull_secrets[:index]:
            yield Problem((*path, "imagePullSecrets", index), f'"{name}" is given twice')
    for index, toleration in enumerate(pod.tolerations):
        yield from _check_toleration(toleration, (*path, "tolerations", index))
    yield from _check_env(pod.env, (*path, "env"))
    if pod.pod_template is not None:
        yield from _check_template(pod.pod_template, (*path, "podTemplate"))


def _check_resources(own: Resources, base: Resources, path: PathKey) -> Iterator[Problem]:
    requests, limits = base.requests | own.requests, base.limits | own.limits
    for name, request in requests.items():
        if name not in own.requests and name not in own.limits:
            continue  # what is wrong with the base is said there
        limit = limits.get(name)
        if "/" in name and (limit is None or amount(request) != amount(limit)):
            yield Problem((*path, "requests", name), "must be equal to its limit, or left out: it cannot be shared")
        elif limit is not None and amount(request) > amount(limit):
            yield Problem((*path, "requests", name), f"must be at most its limit ({limit}), got {request}")


def _check_keys(given: Iterable[str], path: PathKey) -> Iterator[Problem]:
    for key in given:
        if key.startswith(RESERVED_PREFIX) or key in RESERVED_LABELS:
            yield Problem((*path, key), "is the operator's own; take another key")


def _check_toleration(toleration: Toleration, path: PathKey) -> Iterator[Problem]:
    if toleration.operator == "Exists" and toleration.value is not None:
        yield Problem((*path, "value"), "excludes operator Exists, which takes any value")
    if toleration.operator != "Exists" and toleration.key is None:
        yield Problem((*path, "key"), "is required; only operator Exists goes without")
    if toleration.toleration_seconds is not None and toleration.effect != "NoExecute":
        yield Problem((*path, "tolerationSeconds"), "belongs to effect NoExecute")


def _check_env(env: tuple[EnvVar, ...], path: PathKey) -> Iterator[Problem]:
    seen: dict[str, int] = {}
    for index, variable in enumerate(env):
        first = seen.setdefault(variable.name, index)
        if first != index:
            yield Problem((*path, index, "name"), f'"{variable.name}" is given twice')
        sources = (variable.value, variable.secret_key_ref, variable.config_map_key_ref)
        if sum(source is not None for source in sources) != 1:
            yield Problem((*path, index), "must have exactly one of value, secretKeyRef and configMapKeyRef")


_KEYED: Final[Mapping[str, str]] = {
    "containers": "name",
    "initContainers": "name",
    "volumes": "name",
    "env": "name",
    "volumeMounts": "mountPath",
    "ports": "containerPort",
}
"""Lists of a PodSpec and its containers -> what their entries are merged by."""


def _check_template(template: PodTemplate, path: PathKey) -> Iterator[Problem]:
    yield from _check_keys(template.metadata.labels, (*path, "metadata", "labels"))
    yield from _check_keys(template.metadata.annotations, (*path, "metadata", "annotations"))
    yield from _check_lists(template.spec, (*path, "spec"))
    for name in ("containers", "initContainers"):
        containers = template.spec.get(name)
        if isinstance(containers, list):
            for index, container in enumerate(containers):
                if isinstance(container, dict):
                    yield from _check_lists(container, (*path, "spec", name, index))


def _check_lists(part: Mapping[str, Any], path: PathKey) -> Iterator[Problem]:
    for name, key in _KEYED.items():
        entries = part.get(name)
        if entries is None:
            continue
        if not isinstance(entries, list):
            yield Problem((*path, name), f"must be a list, got {kind_of(entries)}")
            continue
        for index, entry in enumerate(entries):
            if not isinstance(entry, dict):
                yield Problem((*path, name, index), f"must be a mapping, got {shown(entry)}")
            elif not entry.get(key):
                yield Problem((*path, name, index, key), "is required: entries are merged by it")
