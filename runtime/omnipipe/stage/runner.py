"""Where the engine runs: in the I/O loop's own thread, or in one beside it.

Both take work and give back steps; the loop does not know which it drives. An engine in a thread is driven by that
thread alone: work goes over in a queue that is drained whole before each step, the results of a step come back at once
and wake the loop. Program construction happens where the engine runs.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Protocol

import msgspec

from omnipipe.engines.engine import Engine, EngineLoad, Result, Work
from omnipipe.stage.errors import ExitCode, StageError

__all__ = ["InlineRunner", "Runner", "Step", "ThreadRunner"]

_log = logging.getLogger(__name__)

_MAX_AHEAD = 16
"""A few, so that the engine does not wait while the loop is busy; bounded, so that a `Pause` still means something."""

MakeEngine = Callable[[], Engine]
"""Imports and constructs the program, too. Raises StageError(START_FAILED)."""


class Step(msgspec.Struct):
    results: list[Result]
    seconds: float
    batch: int
    """Jobs in it; 0 when there were only failures to report."""


class Runner(Protocol):
    loaded: bool
    """The engine is there and takes work."""
    step_started: float
    """`time.monotonic()` value while a step runs in another thread; 0.0 otherwise."""

    def start(self) -> None:
        """Begins to load the program. May raise StageError."""

    def offer(self, work: list[Work]) -> None:
        """Takes what is in the list; the caller clears it."""

    def due_in(self, now: float) -> float | None:
        """Seconds until `collect` is worth calling; None: only new work or a wake-up makes it so."""

    def collect(self, now: float) -> Step | None:
        """The next step's results, if there is one. Raises StageError when the engine is broken or did not load."""

    def load(self) -> EngineLoad: ...

    def close(self, timeout_s: float) -> bool:
        """Ends what was started. False: a step still runs."""


class InlineRunner:
    """Steps run when the loop collects them: for programs whose steps are short."""

    step_started = 0.0

    def __init__(self, make_engine: MakeEngine, clock: Callable[[], float] = time.monotonic) -> None:
        self.loaded = False
        self._make_engine = make_engine
        self._clock = clock
        self._engine: Engine

    def start(self) -> None:
        self._engine = self._make_engine()
        self.loaded = True

    def offer(self, work: list[Work]) -> None:
        offer = self._engine.offer
        for item in work:
            offer(item)

    def due_in(self, now: float) -> float | None:
        return self._engine.next_step(now)

    def collect(self, now: float) -> Step | None:
        if self._engine.next_step(now) != 0.0:
            return None
        return _step(self._engine, now, self._clock)

    def load(self) -> EngineLoad:
        return self._engine.load()

    def close(self, timeout_s: float) -> bool:
        return True


class ThreadRunner:
    """Steps run in a thread of the runner's own: for long steps that release the GIL."""

    def __init__(
        self, make_engine: MakeEngine, wake: Callable[[], None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.loaded = False
        self.step_started = 0.0
        self._make_engine = make_engine
        self._wake = wake
        self._clock = clock
        self._engine: Engine | None = None
        self._inbox: SimpleQueue[list[Work] | None] = SimpleQueue()
        """None: the end."""
        self._steps: deque[Step] = deque()
        self._room = threading.Semaphore(_MAX_AHEAD)
        """Steps that the loop may lag behind: an engine that is quicker than the loop waits for it."""
        self._closing = False
        self._broken: StageError | None = None
        self._thread = threading.Thread(target=self._run, name="engine", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def offer(self, work: list[Work]) -> None:
        self._inbox.put(work.copy())

    def due_in(self, now: float) -> float | None:
        return 0.0 if self._steps or self._broken else None

    def collect(self, now: float) -> Step | None:
        if self._steps:
            self._room.release()
            return self._steps.popleft()
        if self._broken is not None:
            raise self._broken
        return None

    def load(self) -> EngineLoad:
        """Read across threads: plain counts, each true at some moment."""
        return EngineLoad(0, 0, 0) if self._engine is None else self._engine.load()

    def close(self, timeout_s: float) -> bool:
        self._closing = True
        self._inbox.put(None)
        self._room.release()
        if self._thread.is_alive():
            self._thread.join(timeout_s)
        self._wake = lambda: None  # whoever is left behind must not touch a wire that is closed
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            engine = self._make_engine()
            self._engine = engine
            self.loaded = True
            self._wake()
            while self._take_work(engine):
                now = self._clock()
                if engine.next_step(now) == 0.0:
                    self._room.acquire()
                    if self._closing:
                        return
                    self.step_started = now
                    step = _step(engine, now, self._clock)
                    self.step_started = 0.0
                    self._steps.append(step)
                    self._wake()
        except StageError as error:
            self._broken = error
        except BaseException as error:  # the boundary of the thread, SystemExit included: the loop must hear of it
            _log.critical("the engine's thread ended", exc_info=error)
            self._broken = StageError(ExitCode.BROKEN, f"the engine's thread ended: {error!r}")
        finally:
            self._wake()

    def _take_work(self, engine: Engine) -> bool:
        """Waits until there is something to do and takes all that has come. False: the end."""
        wait_s = engine.next_step(self._clock())
        try:
            work = self._inbox.get_nowait() if wait_s == 0.0 else self._inbox.get(timeout=wait_s)
            while work is not None:
                for item in work:
                    engine.offer(item)
                work = self._inbox.get_nowait()
        except Empty:
            return True
        return False


def _step(engine: Engine, now: float, clock: Callable[[], float]) -> Step:
    results = engine.step(now)
    return Step(results, clock() - now, engine.load().last_batch)
