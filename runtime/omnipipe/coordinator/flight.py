"""One request on its way, as the gateway sees it.

    flight = await coordinator.submit(OmniRequest(...))      # admission: RequestError(OVERLOADED, ...) when full
    try:
        while pieces := await flight.next():                 # all that is ready, in order; [] after the end
            ...
    finally:
        flight.close()                                       # after the end: nothing; before it: cancels everywhere

`next` raises RequestError when the request fails. Each accepted request ends exactly once: every output's last piece,
one RequestError, or `close` by the caller.
"""

from dataclasses import dataclass, field
from typing import Protocol

from omnipipe.wire.value import Value

__all__ = ["Flight", "OmniRequest", "Piece"]


@dataclass(frozen=True, slots=True)
class OmniRequest:
    request_id: str
    """Echoed in `x-request-id`, logs and events."""
    value: Value
    inputs: frozenset[str]
    outputs: frozenset[str]
    """The pipeline outputs this request wants; at least one, all of the pipeline's."""
    stage_params: dict[str, dict[str, Value]] = field(default_factory=dict)
    timeout_s: float | None = None
    """The client's own deadline; the pipeline's limit holds as well."""
    events: bool = False


@dataclass(slots=True)
class Piece:
    output: str
    value: Value
    last: bool
    meta: dict[str, Value] | None
    """With `last`."""


class Flight(Protocol):
    request_id: str

    async def next(self) -> list[Piece]:
        """Waits for pieces; returns all that are ready; an empty list after the end. Taking them gives credit back:
        a reader that does not call `next` pauses its own request on the stages, and nobody else's."""

    def close(self) -> None:
        """Frees the request wherever it is. Idempotent; never blocks."""
