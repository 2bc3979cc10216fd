"""Pieces handed to a reader from within the callback that brings them."""

import asyncio

import pytest
from tests.unit.coordinator.scripted import World, ask, chain, omni

from omnipipe.coordinator.flight import Piece
from omnipipe.coordinator.live import LiveFlight
from omnipipe.errors import ErrorKind, RequestError


class Reader:
    """Takes pieces until it is `full`."""

    def __init__(self, flight: LiveFlight) -> None:
        self.flight = flight
        self.values: list[object] = []
        self.full = False
        self.wrong: Exception | None = None

    def take(self, pieces: list[Piece]) -> bool:
        if self.wrong is not None:
            raise self.wrong
        self.values += [piece.value for piece in pieces]
        return not self.full

    async def begin(self) -> asyncio.Task[bool]:
        """Until it waits."""
        task = asyncio.create_task(self.flight.pour(self.take))
        await asyncio.sleep(0)
        return task


def test_pieces_come_without_a_turn_of_the_loop() -> None:
    async def main() -> None:
        world = World(chain())
        flight = world.open()
        reader = Reader(flight)
        third = world["third"]
        third.out(0, "a")
        world.run()
        task = await reader.begin()
        assert reader.values == ["a"], "what is there already comes at once"
        third.out(1, "b")
        third.out(2, "c")
        world.run()
        assert reader.values == ["a", "b", "c"]
        assert flight.handed
        world.run()
        assert third.acks[-1].seq >= 1, "credit goes back for what was taken"
        third.out(3, "d", last=True)
        world.run()
        assert reader.values == ["a", "b", "c", "d"]
        assert await task is False
        assert await flight.pour(reader.take) is False

    asyncio.run(main())


def test_a_full_reader_gets_no_more_until_it_asks() -> None:
    async def main() -> None:
        world = World(chain())
        flight = world.open()
        reader = Reader(flight)
        task = await reader.begin()
        reader.full = True
        third = world["third"]
        third.out(0, "a")
        world.run()
        third.out(1, "b")
        world.run()
        assert reader.values == ["a"]
        assert await task is True
        reader.full = False
        task = await reader.begin()
        assert reader.values == ["a", "b"]
        reader.full = True
        third.out(2, "c", last=True)
        world.run()
        assert reader.values == ["a", "b", "c"]
        assert await task is True, "full at the very end: it has a last frame to get rid of"
        assert await flight.pour(reader.take) is False

    asyncio.run(main())


def test_what_a_reader_raises_comes_out_where_it_waits() -> None:
    async def main() -> None:
        world = World(chain())
        one, other = world.open(ask("one")), world.open(ask("other"))
        readers = Reader(one), Reader(other)
        tasks = [await reader.begin() for reader in readers]
        readers[0].wrong = ValueError("not a piece")
        third = world["third"]
        for request_id in ("one", "other"):
            third.out(0, "a", rid=third.rid(request_id))
        world.run()
        assert readers[1].values == ["a"], "another's reader is none the wiser"
        with pytest.raises(ValueError, match="not a piece"):
            await tasks[0]
        one.close()
        other.close()
        assert await tasks[1] is False

    asyncio.run(main())


def test_a_failure_comes_after_what_came_before_it() -> None:
    async def main() -> None:
        world = World(chain())
        flight = world.open()
        reader = Reader(flight)
        task = await reader.begin()
        third = world["third"]
        third.out(0, "a")
        third.fail()
        world.run()
        assert reader.values == ["a"]
        with pytest.raises(RequestError) as caught:
            await task
        assert caught.value.kind is ErrorKind.INTERNAL

    asyncio.run(main())


def test_outputs_that_are_lost_end_for_the_reader_too() -> None:
    async def main() -> None:
        world = World(omni())
        flight = world.open(ask(outputs=("text", "audio")))
        reader = Reader(flight)
        task = await reader.begin()
        for name in ("left", "right", "compose"):
            world[name].fed()
        world["compose"].out(0, "hi")
        world.run()
        world.kill(world["synth"].address)
        world.run()
        assert flight.lost is not None
        await asyncio.sleep(0)
        assert reader.values == ["hi", None]
        world["compose"].out(1, " there", last=True)
        world.run()
        assert await task is False
        assert reader.values == ["hi", None, " there"]

    asyncio.run(main())


def test_a_reader_that_is_cancelled_gets_nothing_more() -> None:
    async def main() -> None:
        world = World(chain())
        flight = world.open()
        reader = Reader(flight)
        task = await reader.begin()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        flight.close()
        world["third"].out(0, "a")
        world.run()
        assert reader.values == []

    asyncio.run(main())
