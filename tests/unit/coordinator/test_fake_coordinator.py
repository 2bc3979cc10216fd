"""The fake keeps the promises that a gateway builds on."""

import asyncio

import pytest
from tests.unit.coordinator.scripted import ask, chain

from omnipipe.coordinator.fake import FakeCoordinator, FakeFlight, text_script
from omnipipe.coordinator.flight import Flight, Piece, ServedPipeline
from omnipipe.errors import ErrorKind, RequestError


async def read(flight: Flight) -> list[str]:
    words: list[str] = []
    while pieces := await flight.next():
        words += [piece.value for piece in pieces]
    return words


async def test_plays_the_script() -> None:
    coordinator = FakeCoordinator(chain(), text_script(["a", "b"], delay_s=0.001))
    served: ServedPipeline = coordinator
    flight = await served.submit(ask())
    assert served.health().in_flight == 1
    assert await read(flight) == ["a", "b", ""]
    assert await flight.next() == []
    assert (coordinator.flights[0].end, served.health().in_flight) == ("result", 0)
    assert [request.request_id for request in coordinator.submitted] == ["q"]


async def test_pieces_of_one_step_come_together() -> None:
    step = [Piece("text", "a", False, None), Piece("text", "b", True, None)]
    flight = await FakeCoordinator(chain(), [step]).submit(ask())
    assert await flight.next() == step


async def test_ends_in_the_scripted_error_again_and_again() -> None:
    error = RequestError(ErrorKind.INTERNAL, "broke")
    coordinator = FakeCoordinator(chain(), [Piece("text", "a", False, None), error])
    flight = await coordinator.submit(ask())
    await flight.next()
    for _ in range(2):
        with pytest.raises(RequestError, match="broke"):
            await flight.next()
    assert coordinator.flights[0].end == "error"


async def test_close_wakes_the_reader() -> None:
    coordinator = FakeCoordinator(chain(), lambda _: [asyncio.Event()])
    flight = await coordinator.submit(ask())
    reading = asyncio.create_task(flight.next())
    await asyncio.sleep(0)
    flight.close()
    flight.close()
    assert await reading == []
    assert (coordinator.flights[0].end, coordinator.flights[0].close_calls) == ("closed", 2)


async def test_a_gate_opens() -> None:
    gate = asyncio.Event()
    flight = await FakeCoordinator(chain(), [gate, Piece("text", "a", True, None)]).submit(ask())
    reading = asyncio.create_task(flight.next())
    await asyncio.sleep(0)
    assert not reading.done()
    gate.set()
    assert [piece.value for piece in await reading] == ["a"]


async def test_refuses_when_told_to() -> None:
    coordinator = FakeCoordinator(chain(), refuse=RequestError(ErrorKind.OVERLOADED, "full", retry_after_s=2.0))
    with pytest.raises(RequestError, match="full"):
        await coordinator.submit(ask())
    assert len(coordinator.submitted) == 1
    assert coordinator.flights == []


async def test_drains_what_ends_and_fails_what_does_not() -> None:
    coordinator = FakeCoordinator(chain(), [asyncio.Event()])
    flight = await coordinator.submit(ask())
    await coordinator.drain(0.001)
    assert coordinator.health().draining and not coordinator.health().ready
    with pytest.raises(RequestError, match="shutting down"):
        await flight.next()
    with pytest.raises(RequestError, match="shutting down"):
        await coordinator.submit(ask())
    assert isinstance(flight, FakeFlight)
