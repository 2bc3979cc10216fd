"""The batch engine under any order of events: every request ends exactly once, nothing is lost, nothing is left."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Literal, cast

import hypothesis.strategies as st
import pytest
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from omnipipe.engines.batch import BatchEngine
from omnipipe.engines.engine import Begin, Consumed, Drop, Emission, Failure, Feed, Finished, Pause, Resume
from omnipipe.engines.program import Emit, Job, Outcome, StageContext
from omnipipe.spec.plan import EnginePlan

Then = Literal["done", "again", "wait"]

MAX_BATCH, MAX_COST = 3, 5


class Whims:
    """Does what the test case says next, and checks what an engine must never do."""

    def __init__(self, context: StageContext) -> None:
        self.next: list[str] = []
        self.paused: set[str] = set()
        self.gone: set[str] = set()
        self.eaten: dict[str, list[int]] = {}

    def cost(self, job: Job) -> int:
        return len(job.rid) % 3

    def run(self, batch: Sequence[Job]) -> Sequence[Outcome | Exception]:
        rids = [job.rid for job in batch]
        assert len(set(rids)) == len(rids) <= MAX_BATCH
        assert sum(map(self.cost, batch)) <= MAX_COST
        assert not self.paused.intersection(rids)
        assert not self.gone.intersection(rids)
        if self._whim() == "raise":
            raise RuntimeError("the whole step")
        return [self._one(job) for job in batch]

    def _one(self, job: Job) -> Outcome | Exception:
        whim = self._whim()
        if whim == "fail":
            return ValueError("one item")
        self.eaten.setdefault(job.rid, []).extend(job.chunks.get("s", []))
        emits = [Emit("out", len(self.eaten[job.rid]))]
        if whim == "wait" and (not job.streams or job.ended):
            whim = "done"
        then: Then = cast(Then, whim) if whim in ("again", "wait") else "done"
        return Outcome(emits, then, after_s=0.5 if whim == "again" and len(job.rid) % 2 else 0.0)

    def _whim(self) -> str:
        return self.next.pop() if self.next else "done"


class Requests(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.program = Whims(StageContext("x", None, {}))
        options = EnginePlan(max_batch=MAX_BATCH, max_cost=MAX_COST, max_wait_ms=200)
        self.engine = BatchEngine(self.program, options, lambda: self.now)
        self.begun: set[str] = set()
        self.ends: dict[str, int] = {}
        self.dropped: set[str] = set()
        self.fed: dict[str, list[int]] = {}
        self.closed: set[str] = set()
        self.acked: dict[str, int] = {}

    @property
    def live(self) -> list[str]:
        return sorted(self.begun - self.ends.keys() - self.dropped)

    @rule(streams=st.booleans(), ttl=st.sampled_from([0.3, 5.0, 1e9]))
    def begin(self, streams: bool, ttl: float) -> None:
        rid = "r" * (len(self.begun) + 1)
        self.begun.add(rid)
        inputs = frozenset({"s"}) if streams else frozenset[str]()
        if not streams:
            self.closed.add(rid)
        self.engine.offer(Begin(rid, {}, inputs, frozenset({"out"}), {}, self.now + ttl))

    @precondition(lambda self: self.live)
    @rule(data=st.data(), last=st.booleans())
    def feed(self, data: st.DataObject, last: bool) -> None:
        rid = data.draw(st.sampled_from(self.live))
        if rid not in self.closed:
            chunks = self.fed.setdefault(rid, [])
            chunks.append(len(chunks))
            self.engine.offer(Feed(rid, "s", chunks[-1], last))
            if last:
                self.closed.add(rid)

    @precondition(lambda self: self.live)
    @rule(data=st.data(), pause=st.booleans())
    def pause_or_resume(self, data: st.DataObject, pause: bool) -> None:
        rid = data.draw(st.sampled_from(self.live))
        self.engine.offer(Pause(rid) if pause else Resume(rid))
        (self.program.paused.add if pause else self.program.paused.discard)(rid)

    @precondition(lambda self: self.live)
    @rule(data=st.data())
    def drop(self, data: st.DataObject) -> None:
        rid = data.draw(st.sampled_from(self.live))
        self.engine.offer(Drop(rid))
        self.dropped.add(rid)
        self.program.gone.add(rid)

    @rule(whims=st.lists(st.sampled_from(["done", "again", "wait", "fail", "raise"]), max_size=6))
    def step(self, whims: list[str]) -> None:
        self.program.next = whims
        due = self.engine.next_step(self.now)
        results = self.engine.step(self.now)
        assert not results or due == 0.0
        for result in results:
            assert result.rid not in self.ends, "a result after the end"
            assert result.rid not in self.dropped, "a result after a drop"
            match result:
                case Finished(rid) | Failure(rid, _):
                    self.ends[rid] = 1
                    self.program.gone.add(rid)
                case Consumed(rid, "s", count):
                    assert count > 0
                    self.acked[rid] = self.acked.get(rid, 0) + count
                case Emission():
                    pass

    @rule(seconds=st.sampled_from([0.05, 0.2, 1.0]))
    def pass_time(self, seconds: float) -> None:
        self.now += seconds

    @invariant()
    def chunks_arrive_in_order_and_no_more_is_acknowledged_than_was_fed(self) -> None:
        for rid, eaten in self.program.eaten.items():
            assert eaten == self.fed.get(rid, [])[: len(eaten)]
            assert self.acked.get(rid, 0) <= len(self.fed.get(rid, []))

    @invariant()
    def the_load_counts_what_lives(self) -> None:
        load = self.engine.load()
        pending = {failure.rid for failure in self.engine._failed}
        assert load.queued >= 0 <= load.running
        assert load.queued + load.running == len(set(self.live) - pending)

    def teardown(self) -> None:
        """Left alone, with its streams ended, every request ends."""
        for rid in self.live:
            self.engine.offer(Resume(rid))
            self.program.paused.discard(rid)
            if rid not in self.closed:
                self.engine.offer(Feed(rid, "s", len(self.fed.setdefault(rid, [])), last=True))
                self.fed[rid].append(len(self.fed[rid]))
        for _ in range(200):
            if not self.live:
                break
            self.now += 0.5
            self.step(whims=[])
        assert self.live == []
        assert self.engine.next_step(self.now) is None
        assert not self.engine._ready and not self.engine._ready_cost and not self.engine._prompt
        assert len(self.engine._delays) == len(self.engine._entries) == 0


@contextmanager
def quiet() -> Iterator[None]:
    logger = logging.getLogger("omnipipe.engines")
    before = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(before)


@pytest.mark.timeout(30)
def test_any_order_of_events() -> None:
    with quiet():
        run_state_machine_as_test(Requests, settings=settings(max_examples=40, stateful_step_count=25, deadline=None))
