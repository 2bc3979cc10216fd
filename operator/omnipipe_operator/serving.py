"""What the client Service remembers, in annotations that are written together with its selector: since when the
selected cohort serves, and which others served before it and may still be finishing requests."""

from dataclasses import dataclass
from typing import Final

from omnipipe_operator.children import labels
from omnipipe_operator.instants import parse_instant, written_instant
from omnipipe_operator.observed import Object

__all__ = ["DRAINING", "SERVING_SINCE", "Record", "read_record", "recorded"]

SERVING_SINCE: Final = "omnipipe.dev/serving-since"
"""Absent as long as the selected cohort has never been able to serve."""
DRAINING: Final = "omnipipe.dev/draining"


@dataclass(frozen=True, slots=True)
class Record:
    since: float | None = None
    """None: the selected cohort has never served, so nobody misses it."""
    draining: frozenset[str] | None = frozenset()
    """None: nobody knows, so every other cohort may have served."""


def read_record(service: Object | None) -> Record:
    """An annotation that somebody took away or spoiled makes us careful, no more."""
    if service is None:
        return Record(None, None)
    revisions = labels.annotation_of(service, DRAINING)
    since = parse_instant(labels.annotation_of(service, SERVING_SINCE))
    return Record(since, None if revisions is None else frozenset(revisions.split()))


def recorded(service: Object, record: Record) -> Object:
    """The client Service with the record in it."""
    annotations = dict(service["metadata"].get("annotations") or {})
    annotations[DRAINING] = " ".join(sorted(record.draining or ()))
    if record.since is not None:
        annotations[SERVING_SINCE] = written_instant(record.since)
    return {**service, "metadata": {**service["metadata"], "annotations": annotations}}
