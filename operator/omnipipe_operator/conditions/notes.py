"""Events: the turns of a pipeline's life that people look for in `kubectl describe`."""

from collections.abc import Iterable, Iterator

from omnipipe_operator.conditions.previous import previous
from omnipipe_operator.conditions.reasons import Reason
from omnipipe_operator.conditions.verdict import Judged
from omnipipe_operator.observed import Note, Object

__all__ = ["notes_of"]

_PLAIN = frozenset({Reason.ROLLING_OUT, Reason.ROLLED_OUT, Reason.PAUSED, Reason.SUSPENDED})


def notes_of(judged: Iterable[Judged], pipeline: Object, switch: tuple[str, str] | None) -> tuple[Note, ...]:
    """One for each condition that says something else than it did. `switch`: clients go from the one revision to the
    other as of now."""
    notes = list(_notes(judged, previous(pipeline)))
    if switch is not None:
        old, new = switch
        notes.insert(0, Note("Normal", "Switched", f"the client Service turns from revision {old} to {new}"))
    return tuple(notes)


def _notes(judged: Iterable[Judged], before: dict[str, Object]) -> Iterator[Note]:
    for one in judged:
        known = before.get(one.type, {})
        if (known.get("status"), known.get("reason")) == (one.status, one.reason.value):
            continue
        match one.type, one.status:
            case ("Accepted", "False") | ("Degraded", "True"):
                yield Note("Warning", one.reason.value, one.message)
            case "Degraded", "False" if known.get("status") == "True":
                yield Note("Normal", "Recovered", one.message)
            case "Ready", "True":
                yield Note("Normal", "Ready", one.message)
            case "ModelReady", "True" if one.reason is Reason.MODEL_AVAILABLE:
                yield Note("Normal", one.reason.value, one.message)
            case "Progressing", _ if one.reason in _PLAIN:
                yield Note("Normal", one.reason.value, one.message)
            case "Progressing", _ if one.reason is Reason.PROGRESS_DEADLINE_EXCEEDED:
                yield Note("Warning", one.reason.value, one.message)
            case _:
                pass
