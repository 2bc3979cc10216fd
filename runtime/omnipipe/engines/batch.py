"""The batch engine: dynamic batches by size, summed cost and wait.

    Begin ──► ready ──step──► done
               ▲  ▲             │again(after_s)   │wait
               │  └── delayed ◄─┘                 │
               └───── waiting for stream input ◄──┘

Jobs run in the order in which they became ready, so a job that runs again and again never starves a new one. A paused
job keeps its place in this picture but is not run. One bad item fails alone, and nothing that a program does raises
out of here. Must not know what a program computes, nor where its results go.
"""

import logging
import math
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from enum import Enum, auto
from typing import assert_never

from omnipipe.engines.engine import (
    Begin,
    Consumed,
    Drop,
    Emission,
    EngineLoad,
    Failure,
    Feed,
    Finished,
    Pause,
    Result,
    Resume,
    Work,
)
from omnipipe.engines.program import BatchProgram, Job, Outcome, attempt
from omnipipe.engines.timers import Timers
from omnipipe.errors import ErrorKind, RequestError
from omnipipe.spec.plan import EnginePlan
from omnipipe.wire.value import Value

__all__ = ["BatchEngine"]

_log = logging.getLogger(__name__)


class _State(Enum):
    READY = auto()
    RUNNING = auto()
    DELAYED = auto()
    WAITING = auto()


class _Entry:
    """A job and what the engine keeps beside it."""

    __slots__ = ("cost", "due", "job", "paused", "started", "state", "taken")

    def __init__(self, job: Job) -> None:
        self.job = job
        self.state = _State.READY
        self.paused = False
        self.started = False
        self.cost = 0
        self.due = 0.0
        """While ready: when a step must not wait for a fuller batch any longer; 0: it does not wait at all."""
        self.taken: dict[str, list[Value]] = {}
        """The stream chunks of the current run, out of the program's reach."""

    def hand_out(self) -> None:
        """Gives the program the current chunks in lists of its own: it may take them apart, and be tried again."""
        self.job.chunks = {name: chunks[:] for name, chunks in self.taken.items()}


class BatchEngine:
    """`engine.Engine` for a `BatchProgram`. `stage` is for logs and for what a client is told."""

    def __init__(
        self,
        program: BatchProgram,
        options: EnginePlan,
        clock: Callable[[], float] = time.monotonic,
        *,
        stage: str = "batch",
    ) -> None:
        self._program = program
        self._clock = clock
        self._stage = stage
        self._max_batch = options.max_batch
        self._max_cost = options.max_cost
        self._wait_s = options.max_wait_ms / 1e3
        self._entries: dict[str, _Entry] = {}
        self._ready: OrderedDict[str, _Entry] = OrderedDict()
        """Ready and not paused, in the order in which they became so."""
        self._ready_cost = 0
        self._prompt = 0
        """Ready entries that do not wait for a fuller batch."""
        self._delays = Timers()
        self._soonest = math.inf
        """No deadline is before it. It may be that of a request that has gone: then one look is for nothing."""
        self._failed: list[Result] = []
        """Failures found outside of a step, for the next one to report."""
        self._unstarted = 0
        self._steps = 0
        self._last_batch = 0

    def offer(self, work: Work) -> None:
        match work:
            case Begin():
                self._begin(work)
            case Feed():
                self._feed(work)
            case Drop():
                self._forget(work.rid)
            case Pause():
                self._pause(work.rid)
            case Resume():
                self._resume(work.rid)
            case _:
                assert_never(work)

    def next_step(self, now: float) -> float | None:
        if self._prompt or self._failed:
            return 0.0
        if not self._entries:
            return None
        delayed = self._delays.next_due()
        due = min(self._batch_due(), self._soonest, math.inf if delayed is None else delayed)
        return None if due == math.inf else max(0.0, due - now)

    def step(self, now: float) -> list[Result]:
        results, self._failed = self._failed, []
        for rid in self._delays.pop_due(now):
            entry = self._entries[rid]
            entry.state = _State.READY
            self._enqueue(entry, 0.0)
        if now >= self._soonest:
            self._expire(now, results)
        self._last_batch = 0
        if self._batch_due() <= now:
            batch = self._take_batch()
            self._last_batch = len(batch)
            outcomes = self._run(batch)
            self._steps += 1
            for entry, outcome in zip(batch, outcomes, strict=True):
                error = attempt(self._settle, entry, outcome, results)
                if error is not None:  # it is not what its type says
                    results.append(self._fail(entry, error))
        return results

    def load(self) -> EngineLoad:
        return EngineLoad(self._unstarted, len(self._entries) - self._unstarted, self._steps, self._last_batch)

    # Work

    def _begin(self, work: Begin) -> None:
        rid = work.rid
        if rid in self._entries:
            _log.error("stage %s: a second Begin for a running request is ignored", self._stage, extra={"rid": rid})
            return
        job = Job(rid, work.inputs, work.params, work.ports, work.streams, work.deadline)
        if work.streams:
            job.chunks = {name: [] for name in work.streams}
        entry = self._entries[rid] = _Entry(job)
        self._unstarted += 1
        self._soonest = min(self._soonest, work.deadline)
        self._enqueue(entry, self._clock() + self._wait_s if self._wait_s else 0.0)

    def _feed(self, work: Feed) -> None:
        entry = self._entries.get(work.rid)
        if entry is None:
            return  # dropped, failed or finished in the meantime
        entry.job.chunks.setdefault(work.input, []).append(work.value)
        if work.last:
            entry.job.ended.add(work.input)
        if entry.state is _State.WAITING:
            entry.state = _State.READY
            self._enqueue(entry, self._clock() + self._wait_s if self._wait_s else 0.0)
        elif self._max_cost is not None and work.rid in self._ready:
            self._ready_cost -= entry.cost
            self._price(entry)
            self._ready_cost += entry.cost

    def _pause(self, rid: str) -> None:
        entry = self._entries.get(rid)
        if entry is not None and not entry.paused:
            entry.paused = True
            self._dequeue(entry)

    def _resume(self, rid: str) -> None:
        entry = self._entries.get(rid)
        if entry is not None and entry.paused:
            entry.paused = False
            if entry.state is _State.READY:
                self._enqueue(entry, 0.0)

    def _forget(self, rid: str) -> None:
        entry = self._entries.pop(rid, None)
        if entry is None:
            return
        if entry.state is _State.READY:
            self._dequeue(entry)
        elif entry.state is _State.DELAYED:
            self._delays.discard(rid)
        if not entry.started:
            self._unstarted -= 1

    def _expire(self, now: float, results: list[Result]) -> None:
        for rid in [rid for rid, entry in self._entries.items() if entry.job.deadline <= now]:
            self._forget(rid)
            results.append(Failure(rid, RequestError(ErrorKind.DEADLINE, "the request's deadline has passed")))
        self._soonest = min((entry.job.deadline for entry in self._entries.values()), default=math.inf)

    # The ready queue

    def _enqueue(self, entry: _Entry, due: float) -> None:
        if entry.paused:
            return
        entry.due = due
        if not due:
            self._prompt += 1
        self._ready[entry.job.rid] = entry
        if self._max_cost is not None:
            self._price(entry)
            self._ready_cost += entry.cost

    def _dequeue(self, entry: _Entry) -> None:
        if self._ready.pop(entry.job.rid, None) is not None:
            self._left_queue(entry)

    def _left_queue(self, entry: _Entry) -> None:
        self._ready_cost -= entry.cost
        entry.cost = 0
        if not entry.due:
            self._prompt -= 1

    def _price(self, entry: _Entry) -> None:
        """Sets the entry's cost. A program whose `cost` raises fails that job when it runs: it costs nothing here."""
        cost = attempt(lambda: max(0, self._program.cost(entry.job)))
        if isinstance(cost, Exception):
            entry.cost = 0
            self._failed.append(self._fail(entry, cost))
        else:
            entry.cost = cost

    def _batch_due(self) -> float:
        """When the next batch should run; `inf` when nothing is ready."""
        ready = self._ready
        if not ready:
            return math.inf
        if self._prompt or len(ready) >= self._max_batch:
            return 0.0
        if self._max_cost is not None and self._ready_cost >= self._max_cost:
            return 0.0
        return next(iter(ready.values())).due

    def _take_batch(self) -> list[_Entry]:
        """From the front of the queue, never past one that does not fit: what is large is not overtaken for ever."""
        ready, cost = self._ready, 0
        batch: list[_Entry] = []
        while ready and len(batch) < self._max_batch:
            rid, entry = ready.popitem(last=False)
            if self._max_cost is not None and batch and cost + entry.cost > self._max_cost:
                ready[rid] = entry
                ready.move_to_end(rid, last=False)
                break
            cost += entry.cost
            self._left_queue(entry)
            entry.state = _State.RUNNING
            batch.append(entry)
            if not entry.started:
                entry.started = True
                self._unstarted -= 1
        return batch

    # The program

    def _run(self, batch: Sequence[_Entry]) -> Sequence[Outcome | Exception]:
        for entry in batch:
            if entry.job.streams:
                entry.taken = entry.job.chunks
                entry.hand_out()
        outcomes = attempt(self._call, [entry.job for entry in batch])
        if not isinstance(outcomes, Exception):
            return outcomes
        if len(batch) == 1:
            return [outcomes]
        _log.warning("stage %s: a step of %d jobs raised, each is tried alone", self._stage, len(batch))
        return [self._run_alone(entry) for entry in batch]

    def _run_alone(self, entry: _Entry) -> Outcome | Exception:
        entry.hand_out()
        outcomes = attempt(self._call, [entry.job])
        return outcomes if isinstance(outcomes, Exception) else outcomes[0]

    def _call(self, jobs: list[Job]) -> Sequence[Outcome | Exception]:
        outcomes = self._program.run(jobs)
        if len(outcomes) != len(jobs):
            return [RuntimeError(f"the program gave {len(outcomes)} outcomes for {len(jobs)} jobs")] * len(jobs)
        return outcomes

    def _settle(self, entry: _Entry, outcome: Outcome | Exception, results: list[Result]) -> None:
        """Turns what the program said of one job into results, and puts the job where it belongs next."""
        job = entry.job
        rid = job.rid
        if not isinstance(outcome, Outcome):
            results.append(self._fail(entry, outcome))
            return
        if job.streams:
            results += [Consumed(rid, name, len(chunks)) for name, chunks in entry.taken.items() if chunks]
            job.chunks = {name: [] for name in job.streams}
            entry.taken = {}
        for emit in outcome.emits:
            results.append(Emission(rid, emit.port, emit.value, emit.last, emit.meta))
        match outcome.then:
            case "done":
                self._forget(rid)
                results.append(Finished(rid))
            case "again":
                self._again(entry, outcome.after_s)
            case "wait":
                if job.ended >= job.streams:
                    raise RuntimeError("the program waits for stream input after all of it has come")
                entry.state = _State.WAITING
            case _:
                assert_never(outcome.then)

    def _again(self, entry: _Entry, after_s: float) -> None:
        if after_s > 0.0:
            entry.state = _State.DELAYED
            self._delays.set(entry.job.rid, self._clock() + after_s)
        else:
            entry.state = _State.READY
            self._enqueue(entry, 0.0)

    def _fail(self, entry: _Entry, error: object) -> Failure:
        """Ends a job. The client sees a RequestError as it is; everything else is logged and hidden."""
        rid = entry.job.rid
        self._forget(rid)
        if isinstance(error, RequestError):
            return Failure(rid, error)
        if isinstance(error, Exception):
            _log.error("stage %s: a request failed", self._stage, exc_info=error, extra={"rid": rid})
        else:
            _log.error("stage %s: the program gave %r as an outcome", self._stage, error, extra={"rid": rid})
        return Failure(rid, RequestError(ErrorKind.INTERNAL, f"stage '{self._stage}' failed"))
