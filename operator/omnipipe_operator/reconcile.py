"""Makes one pipeline as it should be: look, decide, carry out. Level-based: it does not matter what happened, or how
often; only how things are now.
"""

import logging
import time
from collections.abc import Callable
from typing import Final, Literal

from omnipipe_operator.cache import Cache, Key
from omnipipe_operator.carry import Carrier, Stale
from omnipipe_operator.cluster.errors import ClusterError, Conflict, NamespaceEnding, Unavailable
from omnipipe_operator.decisions import Decide
from omnipipe_operator.errors import LeaseLost
from omnipipe_operator.events import Recorder
from omnipipe_operator.look import Looker, Memory
from omnipipe_operator.metrics import Metrics
from omnipipe_operator.queue import WorkQueue

__all__ = ["Reconciler"]

_logger = logging.getLogger(__name__)
_STRANGERS_S: Final = 5.0
"""Nobody tells us when an object that took our name goes away."""

_AFTER_WRITES_S: Final = 0.1
"""Controllers have begun to act on what was written by then."""
_ENDING_S: Final = 5.0

Result = Literal["settled", "changed", "stale", "error"]


class Reconciler:
    """Workers run `work`; any number of them, for the queue gives each pipeline to one at a time."""

    def __init__(
        self,
        cache: Cache,
        queue: WorkQueue[Key],
        looker: Looker,
        decide: Decide,
        carrier: Carrier,
        recorder: Recorder,
        metrics: Metrics,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._cache, self._queue, self._looker, self._decide = cache, queue, looker, decide
        self._carrier, self._recorder, self._metrics, self._clock = carrier, recorder, metrics, clock
        self._memories: dict[Key, Memory] = {}
        self.turned_at = clock()
        """When a worker last took or finished a piece of work."""

    async def work(self) -> None:
        while True:
            key = await self._queue.take()
            started = self.turned_at = self._clock()
            try:
                result = await self._attempt(key)
            finally:
                self._queue.done(key)
            self.turned_at = self._clock()
            self._metrics.reconciles.labels(result).inc()
            self._metrics.reconcile_seconds.observe(self.turned_at - started)

    async def reconcile(self, key: Key) -> Result:
        """Raises ClusterError, Stale, or what `decide` raises."""
        pipeline = self._cache.pipeline(key)
        if pipeline is None or pipeline["metadata"].get("deletionTimestamp"):
            self._forget(key)  # the garbage collector takes what it owned
            return "settled"
        memory = self._memories.setdefault(key, Memory())
        decision = self._decide(await self._looker.look(key, pipeline, memory))
        writes, refused = await self._carrier.carry_out(pipeline, decision, memory)
        await self._recorder.say(pipeline, [*decision.notes, *refused])
        if writes:  # what was written may be all that the next step waited for, and no watch tells us of our own writes
            self._queue.add(key, _AFTER_WRITES_S)
        if decision.again_after_s is not None:
            self._queue.add(key, decision.again_after_s)
        if memory.strangers:
            self._queue.add(key, _STRANGERS_S)
        if refused:
            self._queue.failed(key)
            return "error"
        self._queue.succeeded(key)
        return "changed" if writes else "settled"

    async def _attempt(self, key: Key) -> Result:
        try:
            return await self.reconcile(key)
        except Stale as reason:
            _logger.debug("%s: again, %s", key, reason)
            self._queue.failed(key)
            return "stale"
        except Conflict as error:
            _logger.debug("%s: again, %s", key, error)
            self._queue.failed(key)
            return "stale"
        except NamespaceEnding as error:
            _logger.debug("%s: %s", key, error)
            self._queue.failed(key, _ENDING_S)
            return "stale"
        except Unavailable as error:
            delay = self._queue.failed(key, error.retry_after_s)
            _logger.info("%s: again in %.1f s, %s", key, delay, error)
        except ClusterError as error:
            delay = self._queue.failed(key)
            _logger.warning("%s: again in %.1f s, %s", key, delay, error)
        except LeaseLost:
            raise
        except Exception:  # the border of one pipeline: the others go on
            delay = self._queue.failed(key, 1.0)
            _logger.exception("%s: this is a bug; again in %.1f s", key, delay)
        return "error"

    def _forget(self, key: Key) -> None:
        self._memories.pop(key, None)
        self._recorder.forget(key)
        self._queue.forget(key)
