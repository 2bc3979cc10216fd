"""The seam between a stage and what decides when it computes.

A stage's I/O loop turns messages into `Work`, an Engine turns work into `Emission`s, a program (the model family's
code) does the computing. An engine knows nothing of sockets, addresses or other stages; it is driven from one thread:
the I/O loop's own (placement `inline`) or a thread beside it (`stage.runner`).

Work and results are structs, which are made in C: each request makes several of them in each stage.
"""

from typing import Protocol

import msgspec

from omnipipe.errors import RequestError
from omnipipe.wire.value import Value

__all__ = [
    "Begin",
    "Consumed",
    "Drop",
    "Emission",
    "Engine",
    "EngineLoad",
    "Failure",
    "Feed",
    "Finished",
    "Pause",
    "Result",
    "Resume",
    "Work",
]


class Begin(msgspec.Struct):
    """All payload inputs of a request have arrived; its stream inputs follow as `Feed`."""

    rid: str
    inputs: dict[str, Value]
    """Input name -> value. An entry stage's one input is called `request`."""
    streams: frozenset[str]
    """Stream inputs that will be fed."""
    ports: frozenset[str]
    """Ports somebody listens to in this walk: emitting on another is harmless and dropped."""
    params: dict[str, Value]
    """`stage_params` for this stage."""
    deadline: float
    """`time.monotonic()` value after which the work is worthless."""


class Feed(msgspec.Struct):
    rid: str
    input: str
    value: Value
    last: bool


class Drop(msgspec.Struct):
    """Cancelled, past its deadline, or its consumer died: forget it; nothing is answered."""

    rid: str


class Pause(msgspec.Struct):
    """A consumer has no room: emit no more for this request until `Resume`."""

    rid: str


class Resume(msgspec.Struct):
    rid: str


Work = Begin | Feed | Drop | Pause | Resume


class Emission(msgspec.Struct):
    """A value on a port. Payload edges take the one value; stream edges and outputs take chunks until `last`."""

    rid: str
    port: str
    value: Value
    last: bool = False
    meta: dict[str, Value] | None = None
    """With `last` on an output: finish_reason, usage, ..."""


class Failure(msgspec.Struct):
    """This request failed in the engine; the others go on."""

    rid: str
    error: RequestError


class Finished(msgspec.Struct):
    """The engine is done with the request and holds nothing of it any more."""

    rid: str


class Consumed(msgspec.Struct):
    """The program has taken `count` more chunks of a stream input: the producer gets its credit back."""

    rid: str
    input: str
    count: int


Result = Emission | Consumed | Failure | Finished


class EngineLoad(msgspec.Struct):
    queued: int
    """Requests that wait for their first step."""
    running: int
    """Requests that have had one."""
    steps: int
    """Steps so far."""
    last_batch: int = 0
    """Requests in the last step; 0 when it computed nothing."""


class Engine(Protocol):
    def offer(self, work: Work) -> None:
        """Takes work; never computes."""

    def next_step(self, now: float) -> float | None:
        """Seconds until a step is worth taking: 0 at once, None when only new work can make one."""

    def step(self, now: float) -> list[Result]:
        """One step. An exception in the program ends the requests of that step as Failures, never the engine."""

    def load(self) -> EngineLoad: ...
