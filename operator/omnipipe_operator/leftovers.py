"""What stands of ours beside the cohorts and is wanted no longer."""

from collections.abc import Iterable, Iterator
from typing import Final

from omnipipe_operator.children import Owner, labels
from omnipipe_operator.observed import Object, Observed, Ref, ref_of

__all__ = ["leftovers"]

_SHARED: Final = frozenset(
    {"Secret", "OmniStage", "PodDisruptionBudget", "NetworkPolicy", "PersistentVolumeClaim", "Job"}
)
"""Kinds that a cohort which is still there may need: they go when it has gone."""


def leftovers(observed: Observed, owner: Owner, wanted: Iterable[Ref], *, target: str, others: bool) -> Iterator[Ref]:
    """`wanted`: what is applied, and what is left alone on purpose. `others`: cohorts beside the target exist. What
    carries another revision than the target's is not looked at: it goes with its cohort."""
    keep = frozenset(wanted)
    for child in observed.children:
        if not owner.owns(child) or ref_of(child) in keep or child["metadata"].get("deletionTimestamp"):
            continue
        revision = labels.revision_of(child)
        if revision not in (None, target):
            continue
        if not (others and _may_be_shared(child)):
            yield ref_of(child)


def _may_be_shared(child: Object) -> bool:
    return child["kind"] in _SHARED and labels.revision_of(child) is None
