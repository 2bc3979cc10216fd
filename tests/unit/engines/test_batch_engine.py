"""The batch engine: what runs together, when, and what becomes of what goes wrong."""

import logging
import math
from collections.abc import Sequence
from typing import Any, cast

import pytest
from tests.unit.engines.programs import Told

from omnipipe.engines.batch import BatchEngine
from omnipipe.engines.engine import Begin, Consumed, Drop, Emission, Failure, Feed, Finished, Pause, Result, Resume
from omnipipe.engines.program import BatchProgram, Emit, Job, Outcome
from omnipipe.errors import ErrorKind, RequestError
from omnipipe.spec.plan import EnginePlan


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def begin(rid: str, streams: tuple[str, ...] = (), deadline: float = math.inf, **params: Any) -> Begin:
    return Begin(rid, {"in": rid}, frozenset(streams), frozenset({"out"}), params, deadline)


def engine_of(program: object, clock: Clock | None = None, **options: Any) -> BatchEngine:
    return BatchEngine(cast(BatchProgram, program), EnginePlan(**options), clock or Clock(), stage="x")


def drive(engine: BatchEngine, now: float = 100.0) -> list[Result]:
    """All steps that can be taken now."""
    results: list[Result] = []
    while engine.next_step(now) == 0.0:
        results += engine.step(now)
    return results


def echo(job: Job) -> Outcome:
    return Outcome([Emit("out", job.inputs["in"], last=True)])


def finished(results: list[Result]) -> list[str]:
    return [result.rid for result in results if isinstance(result, Finished)]


def failures(results: list[Result]) -> dict[str, RequestError]:
    return {result.rid: result.error for result in results if isinstance(result, Failure)}


def test_one_request_in_one_answer_out() -> None:
    engine = engine_of(Told.each(echo))
    assert engine.next_step(0.0) is None
    engine.offer(begin("a"))
    assert engine.next_step(0.0) == 0.0
    assert engine.step(0.0) == [Emission("a", "out", "a", True, None), Finished("a")]
    assert engine.next_step(0.0) is None
    assert (engine.load().queued, engine.load().running, engine.load().steps) == (0, 0, 1)


def test_batches_are_bounded_by_size_and_run_in_order_of_arrival() -> None:
    program = Told.each(echo)
    engine = engine_of(program, max_batch=2)
    for rid in "abcde":
        engine.offer(begin(rid))
    assert finished(drive(engine)) == list("abcde")
    assert program.batches == [["a", "b"], ["c", "d"], ["e"]]


def test_batches_are_bounded_by_cost_and_the_large_one_is_not_overtaken() -> None:
    program = Told.each(echo, cost=lambda job: cast(int, job.params["cost"]))
    engine = engine_of(program, max_cost=10)
    for rid, cost in (("a", 6), ("b", 5), ("c", 99), ("d", 1), ("e", 9)):
        engine.offer(begin(rid, cost=cost))
    drive(engine)
    assert program.batches == [["a"], ["b"], ["c"], ["d", "e"]]


def test_a_step_waits_for_company_but_not_longer_than_it_may() -> None:
    clock = Clock()
    engine = engine_of(Told.each(echo), clock, max_batch=3, max_wait_ms=10)
    engine.offer(begin("a"))
    assert engine.next_step(clock.now) == pytest.approx(0.010)
    clock.now += 0.004
    engine.offer(begin("b"))
    assert engine.next_step(clock.now) == pytest.approx(0.006)
    assert engine.step(clock.now) == []
    engine.offer(begin("c"))
    assert engine.next_step(clock.now) == 0.0
    assert finished(engine.step(clock.now)) == ["a", "b", "c"]
    engine.offer(begin("d"))
    assert engine.next_step(clock.now + 0.010) == pytest.approx(0.0, abs=1e-9)


def test_a_full_cost_ends_the_wait() -> None:
    engine = engine_of(Told.each(echo, cost=lambda job: 5), max_cost=10, max_wait_ms=1000)
    engine.offer(begin("a"))
    assert engine.next_step(100.0) != 0.0
    engine.offer(begin("b"))
    assert engine.next_step(100.0) == 0.0


def test_a_request_that_runs_again_and_again_does_not_starve_a_new_one() -> None:
    program = Told.each(lambda job: Outcome(then="again"))
    engine = engine_of(program, max_batch=1)
    engine.offer(begin("old"))
    engine.step(0.0)
    engine.offer(begin("new"))
    for _ in range(4):
        engine.step(0.0)
    assert program.batches == [["old"], ["old"], ["new"], ["old"], ["new"]]


def test_again_after_a_while() -> None:
    clock = Clock()
    program = Told.each(lambda job: Outcome(then="again", after_s=0.5))
    engine = engine_of(program, clock)
    engine.offer(begin("a"))
    drive(engine)
    assert engine.next_step(clock.now) == pytest.approx(0.5)
    assert drive(engine, clock.now + 0.4) == []
    clock.now += 0.5
    drive(engine, clock.now)
    assert len(program.batches) == 2


def test_stream_chunks_are_fed_in_order_several_at_once_and_acknowledged() -> None:
    seen: list[list[int]] = []

    def take(job: Job) -> Outcome:
        seen.append(list(job.chunks["s"]))
        return Outcome(then="done" if job.ended == job.streams else "wait")

    engine = engine_of(Told.each(take))
    engine.offer(begin("a", streams=("s",)))
    assert drive(engine) == []
    for value in range(3):
        engine.offer(Feed("a", "s", value, last=False))
    assert drive(engine) == [Consumed("a", "s", 3)]
    engine.offer(Feed("a", "s", 3, last=True))
    assert drive(engine) == [Consumed("a", "s", 1), Finished("a")]
    assert seen == [[], [0, 1, 2], [3]]


def test_chunks_count_as_consumed_whatever_the_program_does_to_its_lists() -> None:
    def take(job: Job) -> Outcome:
        job.chunks.pop("s").clear()
        return Outcome(then="wait")

    engine = engine_of(Told.each(take))
    engine.offer(begin("a", streams=("s",)))
    engine.offer(Feed("a", "s", 1, last=False))
    assert drive(engine) == [Consumed("a", "s", 1)]


def test_waiting_for_input_that_cannot_come_is_a_failure_not_a_hang(caplog: pytest.LogCaptureFixture) -> None:
    engine = engine_of(Told.each(lambda job: Outcome(then="wait")))
    engine.offer(begin("a"))
    assert failures(drive(engine))["a"].kind is ErrorKind.INTERNAL
    assert engine.load().running == 0


def test_a_paused_request_keeps_its_input_and_runs_when_resumed() -> None:
    program = Told.each(lambda job: Outcome(then="again"))
    engine = engine_of(program)
    engine.offer(begin("a", streams=("s",)))
    engine.offer(begin("b"))
    engine.offer(Pause("a"))
    engine.offer(Feed("a", "s", 1, last=False))
    engine.step(0.0)
    assert program.batches == [["b"]]
    engine.offer(Drop("b"))
    assert engine.next_step(0.0) is None
    engine.offer(Resume("a"))
    engine.offer(Resume("a"))
    assert engine.step(0.0) == [Consumed("a", "s", 1)]


def test_a_delay_that_ends_during_a_pause_is_not_forgotten() -> None:
    clock = Clock()
    program = Told.each(lambda job: Outcome(then="again", after_s=1.0))
    engine = engine_of(program, clock)
    engine.offer(begin("a"))
    drive(engine)
    engine.offer(Pause("a"))
    clock.now += 2.0
    drive(engine, clock.now)
    assert len(program.batches) == 1
    engine.offer(Resume("a"))
    drive(engine, clock.now)
    assert len(program.batches) == 2


def test_drop_frees_at_once_and_nothing_is_answered() -> None:
    engine = engine_of(Told.each(echo))
    engine.offer(begin("a", streams=("s",)))
    engine.offer(Drop("a"))
    engine.offer(Feed("a", "s", 1, last=True))
    engine.offer(Pause("a"))
    engine.offer(Drop("a"))
    assert drive(engine) == []
    assert (engine.load().queued, engine.load().running) == (0, 0)


def test_past_its_deadline_a_request_fails_wherever_it_is() -> None:
    engine = engine_of(Told.each(lambda job: Outcome(then="wait")))
    engine.offer(begin("waiting", streams=("s",), deadline=101.0))
    drive(engine)
    engine.offer(begin("paused", deadline=102.0))
    engine.offer(Pause("paused"))
    assert engine.next_step(100.0) == pytest.approx(1.0)
    failed = failures(drive(engine, 103.0))
    assert {rid: error.kind for rid, error in failed.items()} == {
        "waiting": ErrorKind.DEADLINE,
        "paused": ErrorKind.DEADLINE,
    }
    assert engine.next_step(104.0) is None


def test_the_deadline_of_one_that_is_gone_costs_one_look() -> None:
    engine = engine_of(Told.each(lambda job: Outcome(then="wait")))
    engine.offer(begin("gone", deadline=101.0))
    engine.offer(begin("waiting", streams=("s",), deadline=105.0))
    engine.offer(Drop("gone"))
    drive(engine)
    assert engine.next_step(101.0) == 0.0
    assert engine.step(101.0) == []
    assert engine.next_step(101.0) == pytest.approx(4.0)
    assert failures(drive(engine, 105.0)).keys() == {"waiting"}


def test_one_bad_item_fails_alone(caplog: pytest.LogCaptureFixture) -> None:
    refused = RequestError(ErrorKind.INVALID, "n must be positive", param="n")

    def one(job: Job) -> Outcome | Exception:
        match job.rid:
            case "bug":
                return ValueError("secret path /root")
            case "refused":
                return refused
        return echo(job)

    engine = engine_of(Told.each(one))
    for rid in ("bug", "good", "refused"):
        engine.offer(begin(rid))
    with caplog.at_level(logging.ERROR):
        results = drive(engine)
    assert finished(results) == ["good"]
    assert failures(results)["refused"] is refused
    error = failures(results)["bug"]
    assert (error.kind, error.message) == (ErrorKind.INTERNAL, "stage 'x' failed")
    assert "secret path" in caplog.text
    assert caplog.records[0].rid == "bug"  # type: ignore[attr-defined]


def test_a_step_that_raises_is_tried_one_by_one_with_the_same_chunks(caplog: pytest.LogCaptureFixture) -> None:
    seen: list[list[int]] = []

    def run(batch: Sequence[Job]) -> list[Outcome]:
        chunks = [job.chunks.pop("s") for job in batch]
        if any(job.rid == "bad" for job in batch):
            raise RuntimeError("CUDA out of luck")
        seen.extend(chunks)
        return [Outcome() for _ in batch]

    program = Told(run)
    engine = engine_of(program)
    for rid in ("a", "bad", "b"):
        engine.offer(begin(rid, streams=("s",)))
        engine.offer(Feed(rid, "s", 7, last=False))
    results = drive(engine)
    assert program.batches == [["a", "bad", "b"], ["a"], ["bad"], ["b"]]
    assert finished(results) == ["a", "b"]
    assert list(failures(results)) == ["bad"]
    assert seen == [[7], [7]]


def test_a_request_error_raised_by_run_reaches_the_client() -> None:
    def run(batch: Sequence[Job]) -> list[Outcome]:
        raise RequestError(ErrorKind.UNPROCESSABLE, "no such voice")

    engine = engine_of(Told(run))
    engine.offer(begin("a"))
    assert failures(drive(engine))["a"].message == "no such voice"


@pytest.mark.parametrize(
    "outcomes",
    [[], [Outcome(), Outcome()], None, ["done"], [Outcome(then=cast(Any, "later"))], [Outcome(cast(Any, [1]))]],
)
def test_outcomes_that_are_not_what_they_should_be_fail_the_request(
    outcomes: Any, caplog: pytest.LogCaptureFixture
) -> None:
    engine = engine_of(Told(lambda batch: outcomes))
    engine.offer(begin("a"))
    error = failures(drive(engine))["a"]
    assert (error.kind, error.message) == (ErrorKind.INTERNAL, "stage 'x' failed")
    assert engine.next_step(100.0) is None


def test_a_cost_that_raises_fails_its_request_alone(caplog: pytest.LogCaptureFixture) -> None:
    def cost(job: Job) -> int:
        if job.rid == "bad":
            raise KeyError("tokens")
        return 1

    engine = engine_of(Told.each(echo, cost=cost), max_cost=100)
    engine.offer(begin("bad"))
    engine.offer(begin("good"))
    results = drive(engine)
    assert list(failures(results)) == ["bad"]
    assert finished(results) == ["good"]


def test_no_deadline_at_all_is_fine() -> None:
    engine = engine_of(Told.each(lambda job: Outcome(then="wait")))
    engine.offer(begin("a", streams=("s",), deadline=math.inf))
    drive(engine)
    assert engine.next_step(1e12) is None
