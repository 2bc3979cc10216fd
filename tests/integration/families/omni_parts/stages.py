"""Programs of batch stages, asked without a stage around them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from omnipipe.engines.program import BatchProgram, Job, Outcome, StageContext
from omnipipe.spec.family import Family
from omnipipe.wire.value import Value

__all__ = ["context_of", "job_of", "run_to_end", "values_of"]


def context_of(family: Family, folder: Path, stage: str, **params: Any) -> StageContext:
    kind = family.stage(stage)
    assert kind is not None
    return StageContext(
        stage, f"file://{folder}", {name: param.default for name, param in kind.params.items()} | params
    )


def job_of(rid: str, inputs: dict[str, Value], ports: Sequence[str], streams: Sequence[str] = ()) -> Job:
    return Job(rid, inputs, {}, frozenset(ports), frozenset(streams), 1e18, {name: [] for name in streams})


def run_to_end(program: BatchProgram, jobs: Sequence[Job]) -> dict[str, Outcome | Exception]:
    """As the engine does it: again and again, all that are not done together."""
    ends: dict[str, Outcome | Exception] = {}
    left = list(jobs)
    for _ in range(1000):
        outcomes = program.run(left)
        again = []
        for job, outcome in zip(left, outcomes, strict=True):
            if isinstance(outcome, Outcome) and outcome.then == "again":
                assert not outcome.emits
                again.append(job)
            else:
                ends[job.rid] = outcome
        if not again:
            return ends
        left = again
    raise AssertionError("the program never comes to an end")


def values_of(outcome: Outcome | Exception) -> dict[str, Value]:
    """By port."""
    if isinstance(outcome, Exception):
        raise outcome
    assert outcome.then == "done"
    assert all(emit.last for emit in outcome.emits)
    return {emit.port: emit.value for emit in outcome.emits}
