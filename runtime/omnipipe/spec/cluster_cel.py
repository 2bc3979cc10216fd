"""What `cluster_rules` and `pod_rules` say of the fields that have their effect on a cluster, in CEL, and what only the
server can say: how a field may change."""

from typing import Final

from omnipipe.spec.cluster_fields import Cache
from omnipipe.spec.cluster_rules import FETCHED
from omnipipe.spec.pod_rules import RESERVED_LABELS, RESERVED_PREFIX
from omnipipe.spec.scalars import RESERVED_STAGES
from omnipipe.spec.structural import Schema

__all__ = ["CLUSTER_RULES"]


def _rule(rule: str, message: str, field: str = "") -> Schema:
    return {"rule": rule, "message": message} | ({"fieldPath": field} if field else {})


_ONE_SOURCE = _rule(
    "(has(self.value) ? 1 : 0) + (has(self.secretKeyRef) ? 1 : 0) + (has(self.configMapKeyRef) ? 1 : 0) == 1",
    "must have exactly one of value, secretKeyRef and configMapKeyRef",
)
_TOLERATION = [
    _rule(
        "!has(self.value) || !has(self.operator) || self.operator != 'Exists'",
        "excludes operator Exists, which takes any value",
        ".value",
    ),
    _rule(
        "has(self.key) || (has(self.operator) && self.operator == 'Exists')",
        "is required; only operator Exists goes without",
        ".key",
    ),
    _rule(
        "!has(self.tolerationSeconds) || (has(self.effect) && self.effect == 'NoExecute')",
        "belongs to effect NoExecute",
        ".tolerationSeconds",
    ),
]
_OWN_LABELS = ", ".join(f"'{label}'" for label in RESERVED_LABELS)
_OWN_KEYS = _rule(
    f"self.all(key, !key.startsWith('{RESERVED_PREFIX}') && !(key in [{_OWN_LABELS}]))",
    "holds a key that is the operator's own; take another",
)


def _pod(path: str) -> dict[str, list[Schema]]:
    return {
        f"{path}.env[]": [_ONE_SOURCE],
        f"{path}.tolerations[]": _TOLERATION,
        f"{path}.labels": [_OWN_KEYS],
        f"{path}.annotations": [_OWN_KEYS],
        f"{path}.podTemplate.metadata.labels": [_OWN_KEYS],
        f"{path}.podTemplate.metadata.annotations": [_OWN_KEYS],
    }


_KIND_IF_LEFT_OUT, _MODE_IF_LEFT_OUT = Cache().type, Cache().access_mode


def _only_with(kind: str, field: str) -> Schema:
    silent = "!has(self.type)" if kind == _KIND_IF_LEFT_OUT else "has(self.type)"
    joined = "||" if kind == _KIND_IF_LEFT_OUT else "&&"
    return _rule(
        f"!has(self.{field}) || ({silent} {joined} self.type == '{kind}')",
        f"belongs to a cache of type {kind}",
        f".{field}",
    )


def _needed_with(kind: str, field: str) -> Schema:
    rule = f"has(self.{field}) || !has(self.type) || self.type != '{kind}'"
    return _rule(rule, f"is required with type {kind}", f".{field}")


_BOTH_SHARED = "has(self.type) && has(oldSelf.type) && self.type == 'SharedClaim' && oldSelf.type == 'SharedClaim'"


def _fixed(field: str, default: str) -> Schema:
    new, old = (f"(has({of}.{field}) ? {of}.{field} : '{default}')" for of in ("self", "oldSelf"))
    return _rule(f"!({_BOTH_SHARED}) || {new} == {old}", "cannot be changed: the volume is there", f".{field}")


_CACHE = [
    _only_with("EmptyDir", "sizeLimit"),
    _only_with("ExistingClaim", "claimName"),
    _only_with("SharedClaim", "size"),
    _only_with("SharedClaim", "storageClassName"),
    _only_with("SharedClaim", "accessMode"),
    _needed_with("ExistingClaim", "claimName"),
    _needed_with("SharedClaim", "size"),
    _fixed("storageClassName", ""),
    _fixed("accessMode", _MODE_IF_LEFT_OUT),
    _rule(
        f"!({_BOTH_SHARED}) || !has(self.size) || !has(oldSelf.size) || "
        "!quantity(string(self.size)).isLessThan(quantity(string(oldSelf.size)))",
        "cannot become smaller: the volume is there",
        ".size",
    ),
]

_FETCHED = " || ".join(f"self.source.startsWith('{scheme}://')" for scheme in FETCHED)
_MODEL = [
    _rule(
        f"!has(self.cache) || (has(self.source) && ({_FETCHED}))",
        f"belongs to a source that is fetched ({', '.join(f'{scheme}://' for scheme in FETCHED)}); remove it",
        ".cache",
    ),
    _rule(
        "!has(self.tokenSecret) || (has(self.source) && self.source.startsWith('hf://'))",
        "belongs to a source that is fetched with a token (hf://); remove it",
        ".tokenSecret",
    ),
]

_RESERVED = ", ".join(f"'{name}'" for name in RESERVED_STAGES)

CLUSTER_RULES: Final[dict[str, list[Schema]]] = {
    "spec.model": _MODEL,
    "spec.model.cache": _CACHE,
    "spec.stages[]": [
        _rule(
            "!has(self.replicas) || !has(self.autoscaling)",
            "excludes replicas; remove one of the two",
            ".autoscaling",
        )
    ],
    "spec.stages[].name": [
        _rule(f"!(self in [{_RESERVED}])", "must be another name: the pipeline has objects of its own called so")
    ],
    "spec.stages[].autoscaling": [
        _rule("self.minReplicas <= self.maxReplicas", "must be at most maxReplicas", ".minReplicas"),
        _rule(
            "!has(self.metrics) || size(self.metrics) == 0 || !has(self.targetCPUUtilizationPercentage)",
            "excludes targetCPUUtilizationPercentage; remove one of the two",
            ".metrics",
        ),
    ],
    **_pod("spec.pod"),
    **_pod("spec.stages[].pod"),
    **_pod("spec.gateway.pod"),
    "spec.gateway.httpRoute.parentRefs": [
        _rule("self.all(ref, self.exists_one(other, other == ref))", "the same parent is there twice")
    ],
    "spec.networkPolicy.clientSelectors[]": [
        _rule(
            "(has(self.namespaceLabels) && size(self.namespaceLabels) > 0) || "
            "(has(self.podLabels) && size(self.podLabels) > 0)",
            "must have namespaceLabels or podLabels",
        )
    ],
}
"""Path in the object -> what must hold there."""
