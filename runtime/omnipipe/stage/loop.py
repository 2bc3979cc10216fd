"""The one loop of a stage process: wire, router, engine, and again.

    poll ──events──► router ──work──► runner ──results──► router ──messages──► wire (flushed by the next poll)

One inline engine step at most between two polls, so that a cancel or a heartbeat never waits for more than a step.
Everything here runs in one thread; `stop` may be called from a signal handler or another thread.
"""

import logging
import time
from collections.abc import Callable
from enum import IntEnum

from omnipipe.observe.events import Events
from omnipipe.observe.metrics import StageMetrics
from omnipipe.stage.errors import ExitCode
from omnipipe.stage.router import Router
from omnipipe.stage.runner import Runner
from omnipipe.wire.port import Wire

__all__ = ["StageLoop", "Stop"]

_log = logging.getLogger(__name__)

_SWEEP_S = 1.0
_REPORT_S = 0.01
"""The load is reported at most this often; heartbeats, which carry it, are twenty times rarer."""
_LAST_S = 0.25
"""A drained stage stays so long after its last request. What it sent last is still on its way: a gateway that hears of
our end before a consumer's `Fed`, or before it has read that we take nothing more, takes it for a death and ends
requests that are well."""
_MAX_WAIT_S = 0.25
"""The loop turns at least this often, which is its own sign of life."""


class Stop(IntEnum):
    """How to leave. Only ever goes up."""

    NO = 0
    DRAIN = 1
    """Finish what runs, within the grace period."""
    NOW = 2


class StageLoop:
    def __init__(
        self,
        wire: Wire,
        router: Router,
        runner: Runner,
        metrics: StageMetrics,
        events: Events,
        *,
        grace_s: float,
        on_ready: Callable[[], None] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._wire = wire
        self._router = router
        self._runner = runner
        self._metrics = metrics
        self._events = events
        self._grace_s = {Stop.DRAIN: grace_s, Stop.NOW: 0.0}
        self._on_ready = on_ready
        self._clock = clock
        self._wanted = Stop.NO
        self._stopping = Stop.NO
        self._leave_at = 0.0
        self._quiet_at = 0.0
        """When the last request is long enough ago."""
        self._next_sweep = 0.0
        self._next_report = 0.0
        self._accepting = False
        self._reported = 0
        """Requests here, as the last report said."""
        self._changed = True
        """Since that report. What changes nothing in it, such as the heartbeats of others, does not make the loop turn
        again for a new one."""
        self.last_turn = clock()
        """For `/livez`: when the loop turned last."""

    @property
    def draining(self) -> bool:
        return self._wanted is not Stop.NO

    def stop(self, how: Stop) -> None:
        """Asks the loop to end. Safe from any thread or signal handler."""
        self._wanted = max(self._wanted, how)
        self._wire.wake()

    def run(self) -> ExitCode:
        """Until told to stop. Raises StageError when the engine cannot go on."""
        self._router.predial(self._clock())
        while not self.turn():
            pass
        left = self._router.live
        if left:
            _log.warning("stage %s leaves %d requests without their answer", self._router.stage, left)
            self._router.abandon(self._clock())
            self._wire.flush()
        return ExitCode.CUT_SHORT if left else ExitCode.OK

    def turn(self) -> bool:
        """One cycle. True: it is time to leave."""
        router, runner = self._router, self._runner
        if not router.loaded and runner.loaded:
            self._loaded()
        due = router.next_due()
        events = self._wire.poll(self._wait_s(due))
        now = self.last_turn = self._clock()
        router.handle(events, now)
        if now >= due:
            router.expire(now)
        offered = self._offer()
        stepped = self._collect(now)
        router.tell_fed()
        if stepped or offered or router.live != self._reported:
            self._changed = True
        if (self._changed or runner.step_started) and (
            now >= self._next_report or router.accepting is not self._accepting
        ):
            self._report(now)
        if now >= self._next_sweep:
            self._next_sweep = now + _SWEEP_S
            router.sweep(now)
            self._report(now)
            self._events.flush()
        return self._wanted is not Stop.NO and self._should_leave(now)

    def _wait_s(self, due: float) -> float:
        """`due`: when the router has something to do."""
        if self._wanted is not self._stopping:
            return 0.0
        now = self._clock()
        due_in = self._runner.due_in(now)
        if due_in == 0.0:
            return 0.0
        wait_s = 2 * _REPORT_S if self._changed or self._stopping is not Stop.NO else _MAX_WAIT_S
        if due_in is not None and due_in < wait_s:
            wait_s = due_in
        return max(0.0, min(wait_s, due - now))

    def _offer(self) -> bool:
        work = self._router.work
        if not work:
            return False
        self._runner.offer(work)
        work.clear()
        return True

    def _collect(self, now: float) -> bool:
        step = self._runner.collect(now)
        if step is None:
            return False
        self._router.take_results(step.results, now)
        if step.batch:
            self._metrics.step(seconds=step.seconds, batch=step.batch)
        self._offer()
        return True

    def _loaded(self) -> None:
        self._router.loaded = self._changed = True
        _log.info("stage %s is ready", self._router.stage)
        if self._on_ready is not None:
            self._on_ready()

    def _report(self, now: float) -> None:
        self._changed = False
        self._next_report = now + _REPORT_S
        self._accepting = self._router.accepting
        load = self._runner.load()
        live = self._reported = self._router.live
        running = min(load.running, live)
        self._metrics.running.set(running)
        self._metrics.queued.set(live - running)
        started = self._runner.step_started
        self._wire.set_load(
            progress=load.steps,
            step_s=now - started if started else 0.0,
            queued=live - running,
            running=running,
            accepting=self._accepting,
        )

    def _should_leave(self, now: float) -> bool:
        wanted = self._wanted
        if wanted is not self._stopping:
            if self._stopping is Stop.NO:
                _log.info("stage %s drains: %d requests are left", self._router.stage, self._router.live)
            self._stopping = wanted
            self._router.draining = True
            self._leave_at = now + self._grace_s[wanted]
            self._quiet_at = now + _LAST_S
            self._report(now)
        if self._stopping is Stop.NO or now >= self._leave_at:
            return self._stopping is not Stop.NO
        if self._router.live:
            self._quiet_at = now + _LAST_S
        return now >= self._quiet_at
