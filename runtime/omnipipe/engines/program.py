"""What a stage program is to the batch engine: the part that a model family's author writes.

A program computes; it does not wait, batch, route or keep time. `run` gets the jobs of one step, whatever mix of
requests the engine put together, and says for each what came out and whether it wants to go on.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, ParamSpec, Protocol, TypeVar

import msgspec

from omnipipe.wire.value import Value

__all__ = ["BatchProgram", "Emit", "Job", "Outcome", "StageContext", "attempt"]

GivenP = ParamSpec("GivenP")
MadeT = TypeVar("MadeT")


@dataclass(frozen=True, slots=True)
class StageContext:
    """What a program may know of where it runs."""

    stage: str
    source: str | None
    """The model's source URL."""
    params: Mapping[str, Value]
    """The stage's options from the manifest (`spec.stages[].params`)."""


class Job(msgspec.Struct):
    """One request in one stage, from `Begin` to `done`. The program may keep anything in `state`."""

    rid: str
    inputs: dict[str, Value]
    params: dict[str, Value]
    """`stage_params` that the client gave for this stage; the program checks them and raises RequestError."""
    ports: frozenset[str]
    streams: frozenset[str]
    deadline: float
    chunks: dict[str, list[Value]] = msgspec.field(default_factory=dict)
    """Stream input -> chunks that came since the last run. Whatever is in here during `run` counts as consumed when
    it returns."""
    ended: set[str] = msgspec.field(default_factory=set)
    """Stream inputs whose last chunk has come."""
    state: object = None


class Emit(msgspec.Struct, frozen=True):
    port: str
    value: Value
    last: bool = False
    meta: dict[str, Value] | None = None


class Outcome(msgspec.Struct, frozen=True):
    """What one run did for one job."""

    emits: Sequence[Emit] = ()
    then: Literal["done", "again", "wait"] = "done"
    """`done`: the request is finished here. `again`: run me in a next step (unless a consumer is out of room).
    `wait`: run me when more stream input has come."""
    after_s: float = 0.0
    """With `again`: not before this long from now."""


class BatchProgram(Protocol):
    """Constructed by the stage with a StageContext, in the engine's own thread; construction loads what it needs."""

    def __init__(self, context: StageContext) -> None: ...

    def cost(self, job: Job) -> int:
        """What this job adds to a step (tokens, pixels, samples), against the engine's `max_cost`."""

    def run(self, batch: Sequence[Job]) -> Sequence[Outcome | Exception]:
        """One outcome a job, in order. An exception in its place fails that job alone: a RequestError is shown to the
        client, anything else is logged and becomes `internal`. When the call itself raises, each job of a batch is
        tried once more alone, and those that raise again fail: change `state` last, so that a second try works."""


def attempt(work: Callable[GivenP, MadeT], *given: GivenP.args, **named: GivenP.kwargs) -> MadeT | Exception:
    """What is done for one job of a batch; what it raises ends that job alone (`BatchProgram.run`), and the engine logs
    and counts it. This is the boundary of a job: a program needs no other. And of what may fail with any exception
    and can be done without."""
    try:
        return work(*given, **named)
    except Exception as error:  # whatever a model or a library comes to
        return error
