"""The Coordinator on an event loop: waiting readers, the one timer, look-ups, drain and close."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest
from tests.unit.coordinator.scripted import Replica, World, ask, chain, make_plan, output, stage

from omnipipe.coordinator.connection import connect
from omnipipe.coordinator.coordinator import Coordinator
from omnipipe.coordinator.discovery import Discovery, Lookup, look_up
from omnipipe.coordinator.flight import Flight, ServedPipeline
from omnipipe.errors import ErrorKind, RequestError
from omnipipe.observe.events import NoEvents
from omnipipe.observe.metrics import CoordinatorMetrics, Registry
from omnipipe.spec.plan import Plan, PlanStage
from omnipipe.wire.errors import WireError
from omnipipe.wire.port import Identity, Role


async def until(holds: Callable[[], object], world: World | None = None) -> None:
    """`world`: its stages listen meanwhile."""
    async with asyncio.timeout(20):
        while not holds():
            if world is not None:
                world.run()
            await asyncio.sleep(0.001)


@asynccontextmanager
async def coordinating(
    plan: Plan, *, stages: bool = True, lookup: Lookup | None = None
) -> AsyncIterator[tuple[Coordinator, World]]:
    """A Coordinator and stages to play; every one of the latter's turns is a call of `world.run()`."""
    world = World(plan, gateways=0, start=stages)
    wire = world.network.wire(Identity("p", "r1", Role.GATEWAY, "gateway"))
    metrics = CoordinatorMetrics(Registry(), namespace="n", pipeline="p", revision="r1")
    coordinator = Coordinator(plan, wire, metrics, NoEvents(), lookup=lookup, resolve_every_s=0.01)
    async with coordinator:
        if stages:
            await until(lambda: coordinator.health().ready)
        yield coordinator, world
    assert wire.closed


async def submitted(world: World, name: str = "third", request_id: str = "q") -> None:
    def there() -> bool:
        return any(submit.request_id == request_id for _, submit in world[name].submits.values())

    await until(there, world)


async def read(flight: Flight) -> list[str]:
    words: list[str] = []
    while pieces := await flight.next():
        words += [piece.value for piece in pieces]
    return words


async def test_a_waiting_reader_wakes_for_pieces_and_for_the_end() -> None:
    async with coordinating(chain(window_chunks=64)) as (coordinator, world):
        served: ServedPipeline = coordinator
        flight = await served.submit(ask())
        reading = asyncio.create_task(read(flight))
        await submitted(world)
        third = world["third"]
        for seq in range(40):
            third.out(seq, f"w{seq}")
            if seq % 7 == 0:
                third.wire.flush()
                await asyncio.sleep(0)
        third.out(40, "end", last=True)
        third.wire.flush()
        assert await reading == [f"w{seq}" for seq in range(40)] + ["end"]
        flight.close()
        assert served.health().in_flight == 0


async def test_many_pieces_of_one_packet_are_one_wake() -> None:
    async with coordinating(chain(window_chunks=64)) as (coordinator, world):
        flight = await coordinator.submit(ask())
        reading = asyncio.create_task(flight.next())
        await submitted(world)
        for seq in range(20):
            world["third"].out(seq)
        world["third"].wire.flush()
        assert len(await reading) == 20
        flight.close()


async def test_a_waiting_reader_wakes_for_an_error() -> None:
    async with coordinating(chain()) as (coordinator, world):
        flight = await coordinator.submit(ask())
        reading = asyncio.create_task(flight.next())
        await submitted(world)
        world["third"].fail()
        world["third"].wire.flush()
        with pytest.raises(RequestError, match="it broke"):
            await reading
        with pytest.raises(RequestError, match="it broke"):
            await flight.next()


def credited(replica: Replica, seq: int) -> bool:
    return bool(replica.acks) and replica.acks[-1].seq == seq


async def test_an_answer_in_one_go_is_unseen_until_its_end() -> None:
    async with coordinating(chain(2, window_chunks=8)) as (coordinator, world):
        flight = await coordinator.submit(ask())
        reading = asyncio.create_task(flight.whole())
        await until(lambda: "third" in world.holders(), world)
        first = world.holders()["third"]
        for start in range(0, 24, 4):  # half a window at a time: the credit comes back although nobody has the words
            for seq in range(start, start + 4):
                first.out(seq, f"lost {seq}")
            first.wire.flush()
            await until(partial(credited, first, start + 3), world)
        world.kill(first.address)
        await until(lambda: "third" in world.holders() and world.holders()["third"] is not first, world)
        second = world.holders()["third"]
        second.out(0, "right", last=True)
        second.wire.flush()
        assert [piece.value for piece in await reading] == ["right"]


async def test_close_wakes_a_waiting_reader() -> None:
    async with coordinating(chain()) as (coordinator, _):
        flight = await coordinator.submit(ask())
        reading = asyncio.create_task(flight.next())
        await asyncio.sleep(0)
        flight.close()
        assert await reading == []


async def test_one_reader_at_a_time() -> None:
    async with coordinating(chain()) as (coordinator, _):
        flight = await coordinator.submit(ask())
        reading = asyncio.create_task(flight.next())
        await asyncio.sleep(0)
        with pytest.raises(RuntimeError, match="one reader"):
            await flight.next()
        flight.close()
        await reading


async def test_a_cancelled_reader_may_read_again() -> None:
    async with coordinating(chain()) as (coordinator, world):
        flight = await coordinator.submit(ask())
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.005):
                await flight.next()
        await submitted(world)
        world["third"].out(0, "late", last=True)
        world["third"].wire.flush()
        assert await read(flight) == ["late"]


async def test_the_timer_ends_what_is_past_its_deadline() -> None:
    async with coordinating(chain()) as (coordinator, world):
        long = await coordinator.submit(ask("long"))
        flight = await coordinator.submit(ask("short", timeout_s=0.02))
        with pytest.raises(RequestError) as caught:
            await flight.next()
        assert caught.value.kind is ErrorKind.DEADLINE
        await until(lambda: world["first"].cancels, world)
        assert coordinator.health().in_flight == 1
        long.close()


async def test_submit_waits_for_a_slot() -> None:
    async with coordinating(chain(max_in_flight=1)) as (coordinator, _):
        first = await coordinator.submit(ask("a"))
        waiting = asyncio.create_task(coordinator.submit(ask("b")))
        await until(lambda: coordinator.health().queued == 1)
        first.close()
        second = await waiting
        second.close()


async def test_submit_raises_what_the_wait_ended_with() -> None:
    async with coordinating(chain(max_in_flight=1, queue_timeout_s=0.02)) as (coordinator, _):
        first = await coordinator.submit(ask("a"))
        with pytest.raises(RequestError) as caught:
            await coordinator.submit(ask("b"))
        assert caught.value.kind is ErrorKind.OVERLOADED
        first.close()


async def test_a_submit_that_is_cancelled_leaves_the_queue() -> None:
    async with coordinating(chain(max_in_flight=1)) as (coordinator, _):
        first = await coordinator.submit(ask("a"))
        waiting = asyncio.create_task(coordinator.submit(ask("b")))
        await until(lambda: coordinator.health().queued == 1)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert coordinator.health().queued == 0
        first.close()


async def test_drain_waits_for_what_runs() -> None:
    async with coordinating(chain()) as (coordinator, world):
        flight = await coordinator.submit(ask())
        await submitted(world)
        draining = asyncio.create_task(coordinator.drain(1.0))
        await until(lambda: coordinator.health().draining)
        with pytest.raises(RequestError, match="shutting down"):
            await coordinator.submit(ask("new"))
        world["third"].out(0, "done", last=True)
        world["third"].wire.flush()
        await draining
        assert await read(flight) == ["done"]


async def test_drain_cancels_what_outlives_the_grace() -> None:
    async with coordinating(chain()) as (coordinator, world):
        flight = await coordinator.submit(ask())
        await submitted(world)
        await coordinator.drain(0.01)
        with pytest.raises(RequestError, match="shutting down"):
            await flight.next()
        await until(lambda: world["first"].cancels, world)


async def test_close_ends_what_runs() -> None:
    async with coordinating(chain()) as (coordinator, _):
        flight = await coordinator.submit(ask())
        reading = asyncio.create_task(flight.next())
        await asyncio.sleep(0)
        await coordinator.close()
        await coordinator.close()
        with pytest.raises(RequestError, match="shutting down"):
            await reading


async def test_starts_once() -> None:
    async with coordinating(chain()) as (coordinator, _):
        with pytest.raises(RuntimeError, match="starts once"):
            await coordinator.start()


def named(*more: str) -> Plan:
    """One stage whose replicas are behind a name."""
    part = PlanStage(name="s", program="p:P", addresses=("dns+tcp://s.svc:7000", *more))
    return make_plan([part], [], [output("text", "s")])


class Names:
    """What a name service says."""

    def __init__(self, answer: list[str] | None) -> None:
        self.answer = answer
        self.asked: list[tuple[str, int]] = []

    async def look_up(self, host: str, port: int) -> list[str] | None:
        self.asked.append((host, port))
        return self.answer


async def test_replicas_behind_a_name_come_and_go() -> None:
    names = Names(["fake://s-0"])
    async with coordinating(named(), stages=False, lookup=names.look_up) as (coordinator, world):
        for i in range(3):
            world.boot(f"fake://s-{i}")
        await until(lambda: coordinator.health().ready)
        assert names.asked[0] == ("s.svc", 7000)
        flight = await coordinator.submit(ask())
        names.answer = ["fake://s-1", "fake://s-2"]
        await until(lambda: coordinator.health().stages[0].routable == 2)
        assert coordinator.health().stages[0].replicas == 3, "it still works for us"
        await submitted(world, "s")
        world["s"].out(0, "done", last=True)
        world["s"].wire.flush()
        assert await read(flight) == ["done"]
        await until(lambda: coordinator.health().stages[0].replicas == 2)
        await until(lambda: not world["s-0"].wire.peers(), world)


async def test_a_look_up_that_fails_changes_nothing() -> None:
    names = Names(["fake://s-0"])
    async with coordinating(named("fake://s-9"), stages=False, lookup=names.look_up) as (coordinator, world):
        world.boot("fake://s-0")
        await until(lambda: coordinator.health().ready)
        before = len(names.asked)
        names.answer = None
        await until(lambda: len(names.asked) > before + 2)
        assert coordinator.health().stages[0].replicas == 2
        assert coordinator.health().ready


async def test_a_name_that_is_gone_takes_only_what_does_not_work() -> None:
    names = Names(["fake://s-0", "fake://s-1"])
    async with coordinating(named(), stages=False, lookup=names.look_up) as (coordinator, world):
        world.boot("fake://s-0")
        await until(lambda: coordinator.health().ready)
        names.answer = []
        await until(lambda: coordinator.health().stages[0].replicas == 1)
        assert coordinator.health().ready


async def test_fixed_addresses_need_no_look_up() -> None:
    found: dict[str, list[str]] = {}

    def on_found(stage: str, addresses: list[str], *, complete: bool) -> None:
        assert complete
        found[stage] = addresses

    discovery = Discovery(make_plan([stage("s", 2)], [], [output("text", "s")]), on_found)
    assert not discovery.has_names
    discovery.announce_fixed()
    assert found == {"s": ["fake://s-0", "fake://s-1"]}


async def test_a_look_up_that_breaks_is_tried_again() -> None:
    names = Names(["fake://s-0"])
    broken, attempts = True, 0

    async def look_up(host: str, port: int) -> list[str] | None:
        nonlocal attempts
        attempts += 1
        if broken:
            raise RuntimeError("no resolver")
        return await names.look_up(host, port)

    async with coordinating(named(), stages=False, lookup=look_up) as (coordinator, world):
        world.boot("fake://s-0")
        await until(lambda: attempts > 1)
        broken = False
        await until(lambda: coordinator.health().ready)


def test_connecting_without_the_keys_says_which(tmp_path: Path) -> None:
    with pytest.raises(WireError, match=r"server\.pub"):
        connect(chain(), curve_dir=tmp_path)


async def test_a_malformed_host_is_not_an_end() -> None:
    assert await look_up("a" * 64 + ".example", 1) is None
