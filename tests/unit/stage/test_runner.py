"""The engine in a thread: results come back, the loop hears of its end, and it does not run away."""

import threading
import time
from collections.abc import Callable

import pytest

from omnipipe.engines.engine import Drop, EngineLoad, Result, Work
from omnipipe.stage.errors import ExitCode, StageError
from omnipipe.stage.runner import InlineRunner, ThreadRunner

WITHIN_S = 20.0
"""For what takes no time on an idle machine."""


class Steps:
    """An engine that has a step to take for each piece of work, or always."""

    def __init__(self, *, endless: bool = False, error: BaseException | None = None) -> None:
        self.offered: list[Work] = []
        self.threads: set[int] = set()
        self.taken = 0
        self._endless = endless
        self._error = error

    def offer(self, work: Work) -> None:
        self.offered.append(work)

    def next_step(self, now: float) -> float | None:
        return 0.0 if self._endless or self.taken < len(self.offered) else None

    def step(self, now: float) -> list[Result]:
        if self._error is not None:
            raise self._error
        self.threads.add(threading.get_ident())
        self.taken += 1
        return []

    def load(self) -> EngineLoad:
        return EngineLoad(0, 0, self.taken, 1)


def eventually(look: Callable[[], object]) -> None:
    end = time.monotonic() + WITHIN_S
    while not look():
        assert time.monotonic() < end
        time.sleep(0.001)


def test_work_goes_over_and_steps_come_back_with_a_wake_up() -> None:
    engine, woken = Steps(), threading.Event()
    runner = ThreadRunner(lambda: engine, woken.set)
    assert not runner.loaded
    runner.start()
    try:
        eventually(lambda: runner.loaded)
        woken.clear()
        work: list[Work] = [Drop("a")]
        runner.offer(work)
        work.clear()
        assert woken.wait(WITHIN_S)
        eventually(lambda: runner.due_in(0.0) == 0.0)
        step = runner.collect(0.0)
        assert step is not None
        assert step.batch == 1
        assert engine.threads.isdisjoint({threading.get_ident()})
        assert (runner.due_in(0.0), runner.load().steps) == (None, 1)
    finally:
        assert runner.close(WITHIN_S)


def test_an_engine_that_is_quicker_than_the_loop_waits_for_it() -> None:
    engine = Steps(endless=True)
    runner = ThreadRunner(lambda: engine, lambda: None)
    runner.start()
    try:
        eventually(lambda: engine.taken >= 16)
        time.sleep(0.02)  # to give it the time to run away
        assert engine.taken == 16
        assert runner.collect(0.0) is not None
        eventually(lambda: engine.taken == 17)
    finally:
        assert runner.close(WITHIN_S)


@pytest.mark.parametrize("error", [RuntimeError("a bug"), SystemExit(3)])
def test_the_loop_hears_of_the_end_of_the_thread(error: BaseException, caplog: pytest.LogCaptureFixture) -> None:
    runner = ThreadRunner(lambda: Steps(endless=True, error=error), lambda: None)
    runner.start()
    eventually(lambda: runner.due_in(0.0) == 0.0)
    with pytest.raises(StageError) as caught:
        runner.collect(0.0)
    assert caught.value.code is ExitCode.BROKEN
    assert runner.close(WITHIN_S)


def test_inline_steps_run_when_they_are_collected() -> None:
    engine = Steps()
    runner = InlineRunner(lambda: engine)
    runner.start()
    assert runner.loaded
    assert runner.collect(0.0) is None
    runner.offer([Drop("a")])
    assert runner.due_in(0.0) == 0.0
    assert runner.collect(0.0) is not None
    assert engine.threads == {threading.get_ident()}
    assert runner.close(0.0)
