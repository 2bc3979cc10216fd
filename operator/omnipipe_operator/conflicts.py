"""Objects that we want and may not have: somebody else's of the same name, and what the API server refuses."""

from collections.abc import Iterable

from omnipipe_operator.children import Owner
from omnipipe_operator.conditions.reasons import Reason
from omnipipe_operator.conditions.trouble import Trouble
from omnipipe_operator.observed import Object, Observed, Ref, ref_of

__all__ = ["blocked", "foreign"]

_SHOWN = 3


def foreign(observed: Observed, owner: Owner) -> frozenset[Ref]:
    """All that is not ours, of what is there. What carries our labels and has no owner may be taken."""
    found = (*observed.children, *observed.named.values())
    return frozenset(ref_of(value) for value in found if not owner.owns(value) and not _is_orphan(value))


def blocked(observed: Observed, taken: Iterable[Ref]) -> Trouble | None:
    """`taken`: wanted objects that others have."""
    names = [f"{ref.kind} {ref.name}" for ref in sorted(taken)]
    if names:
        words = "belongs to somebody else and is not touched" if len(names) == 1 else "belong to others"
        return Trouble(Reason.NAME_CONFLICT, f"{_listed(names)} {words}: rename it or the pipeline")
    said = [f"{ref.kind} {ref.name}: {observed.refusals[ref]}" for ref in sorted(observed.refusals)]
    if said:
        return Trouble(Reason.APPLY_REFUSED, f"the API server refuses {_listed(said)}")
    return None


def _is_orphan(value: Object) -> bool:
    metadata = value["metadata"]
    controlled = any(one.get("controller") for one in metadata.get("ownerReferences") or ())
    managed_by = (metadata.get("labels") or {}).get("app.kubernetes.io/managed-by")
    return not controlled and managed_by == "omnipipe"


def _listed(words: list[str]) -> str:
    more = f" and {len(words) - _SHOWN} more" if len(words) > _SHOWN else ""
    return ", ".join(words[:_SHOWN]) + more
