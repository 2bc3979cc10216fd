"""Kubernetes Events for `kubectl describe`: each thing is said once, however often it is decided again.

An event's name is a hash of what it says, so that an operator that starts anew, or another one, does not say it twice.
"""

import hashlib
import logging
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Final

from omnipipe_operator.cache import Key
from omnipipe_operator.cluster.errors import ClusterError, Conflict, NamespaceEnding, Unavailable
from omnipipe_operator.cluster.kinds import EVENT
from omnipipe_operator.cluster.port import Cluster
from omnipipe_operator.observed import Note, Object

__all__ = ["Recorder"]

_logger = logging.getLogger(__name__)
_AGAIN_S: Final = 3600.0
"""The same words for the same pipeline are an event again only when they were not decided for this long."""
_KEPT: Final = 64
"""Notes remembered for each pipeline."""
_LONGEST: Final = 1024
"""What the API server takes as an event's message."""


class Recorder:
    """`written` is told of each event that was written."""

    def __init__(
        self, cluster: Cluster, written: Callable[[], None] = lambda: None, now: Callable[[], float] = time.time
    ) -> None:
        self._cluster, self._written, self._now = cluster, written, now
        self._said: dict[Key, dict[Note, float]] = {}

    async def say(self, pipeline: Object, notes: Iterable[Note]) -> None:
        """Events are worth no failure of anything else: one that cannot be written is logged."""
        key = Key(pipeline["metadata"]["namespace"], pipeline["metadata"]["name"])
        for note in notes:
            said, now = self._said.setdefault(key, {}), self._now()
            if now - said.pop(note, float("-inf")) < _AGAIN_S:
                said[note] = now
                continue
            said[note] = now
            while len(said) > _KEPT:
                del said[next(iter(said))]
            try:
                await self._cluster.create(EVENT, _event(pipeline, note, now))
                self._written()
            except Conflict:
                pass  # it was said before this process began
            except NamespaceEnding:
                return
            except Unavailable:
                del said[note]
                raise
            except ClusterError as error:
                _logger.warning("%s: cannot write the event %s: %s", key, note.reason, error)

    def forget(self, key: Key) -> None:
        self._said.pop(key, None)


def _event(pipeline: Object, note: Note, now: float) -> Object:
    metadata = pipeline["metadata"]
    period = int(now // 3600)  # the API server keeps events for an hour
    words = f"{metadata['uid']}/{period}/{note.type}/{note.reason}/{note.message}"
    stamp = datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {
        "apiVersion": EVENT.api_version,
        "kind": EVENT.name,
        "metadata": {
            "name": f"{metadata['name']}.{hashlib.sha256(words.encode()).hexdigest()[:16]}",
            "namespace": metadata["namespace"],
        },
        "involvedObject": {
            "apiVersion": pipeline["apiVersion"],
            "kind": pipeline["kind"],
            "name": metadata["name"],
            "namespace": metadata["namespace"],
            "uid": metadata["uid"],
            "resourceVersion": metadata["resourceVersion"],
        },
        "type": note.type,
        "reason": note.reason,
        "message": note.message[:_LONGEST],
        "source": {"component": "omnipipe-operator"},
        "reportingComponent": "omnipipe.dev/operator",
        "firstTimestamp": stamp,
        "lastTimestamp": stamp,
        "count": 1,
    }
