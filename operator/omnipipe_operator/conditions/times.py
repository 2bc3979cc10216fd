"""When each condition last changed: an old time is kept as long as the status is the same."""

from collections.abc import Iterable
from datetime import UTC, datetime

from omnipipe.spec.status import Condition
from omnipipe_operator.conditions.previous import previous
from omnipipe_operator.conditions.verdict import Judged
from omnipipe_operator.instants import parse_instant
from omnipipe_operator.observed import Object

__all__ = ["kept_times"]

_LONGEST = 8000
"""Characters; the CRD takes 8192."""


def kept_times(judged: Iterable[Judged], pipeline: Object, now: float) -> tuple[Condition, ...]:
    before = previous(pipeline)
    generation = int(pipeline["metadata"].get("generation") or 0)
    return tuple(
        Condition(
            type=one.type,
            status=one.status,
            reason=one.reason.value,
            message=one.message if len(one.message) <= _LONGEST else f"{one.message[: _LONGEST - 1]}…",
            last_transition_time=datetime.fromtimestamp(int(_since(one, before.get(one.type), now)), UTC),
            observed_generation=generation,
        )
        for one in judged
    )


def _since(one: Judged, before: Object | None, now: float) -> float:
    if before is None or before.get("status") != one.status:
        return now
    since = parse_instant(before.get("lastTransitionTime"))
    return now if since is None else since
