"""A flight that nobody waits for in a task: `then` is told of its end, once, whatever that is."""

import asyncio

import pytest
from tests.unit.coordinator.scripted import ask, chain
from tests.unit.coordinator.test_on_a_loop import coordinating, submitted, until

from omnipipe.coordinator.flight import Flight
from omnipipe.errors import RequestError


class Told:
    def __init__(self, flight: Flight) -> None:
        self.times = 0
        flight.then(self)

    def __call__(self) -> None:
        self.times += 1


async def test_the_end_is_told_once_and_all_pieces_are_there() -> None:
    async with coordinating(chain(window_chunks=8)) as (coordinator, world):
        flight = coordinator.open(ask())
        told = Told(flight)
        await submitted(world)
        third = world["third"]
        for seq in range(4):
            third.out(seq, f"w{seq}")
        third.wire.flush()
        await until(lambda: third.acks, world)  # its credit comes back although nobody has the words
        assert told.times == 0
        third.out(4, "end", last=True)
        third.wire.flush()
        await until(lambda: told.times, world)
        assert [piece.value for piece in flight.result()] == ["w0", "w1", "w2", "w3", "end"]
        flight.close()
        await asyncio.sleep(0)
        assert (told.times, coordinator.health().in_flight) == (1, 0)


async def test_an_error_is_an_end() -> None:
    async with coordinating(chain()) as (coordinator, world):
        flight = coordinator.open(ask())
        told = Told(flight)
        await submitted(world)
        world["third"].fail()
        world["third"].wire.flush()
        await until(lambda: told.times, world)
        with pytest.raises(RequestError, match="it broke"):
            flight.result()


async def test_one_that_is_over_already_is_told_of_in_the_next_turn() -> None:
    async with coordinating(chain()) as (coordinator, world):
        flight = coordinator.open(ask())
        await submitted(world)
        world["third"].out(0, "all", last=True)
        world["third"].wire.flush()
        await until(lambda: not coordinator.health().in_flight, world)
        told = Told(flight)
        assert told.times == 0
        await until(lambda: told.times)
        assert [piece.value for piece in flight.result()] == ["all"]


async def test_close_is_an_end_too() -> None:
    async with coordinating(chain()) as (coordinator, world):
        flight = coordinator.open(ask())
        told = Told(flight)
        await submitted(world)
        flight.close()
        await until(lambda: told.times)
        assert flight.result() == []


async def test_one_in_the_queue_is_told_when_the_pipeline_goes() -> None:
    async with coordinating(chain(), stages=False) as (coordinator, _):
        flight = coordinator.open(ask())
        told = Told(flight)
        assert coordinator.health().queued == 1
        await coordinator.drain(0.01)
        await until(lambda: told.times)
        with pytest.raises(RequestError):
            flight.result()
