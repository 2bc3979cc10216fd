"""The Coordinator against real stage processes: answers, deaths, slow readers, clients that leave."""

import asyncio
import json
import random
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from tests.integration.coordinator.fleet import Fleet, echo_plan

from omnipipe.coordinator.connection import connect
from omnipipe.coordinator.coordinator import Coordinator
from omnipipe.coordinator.flight import OmniRequest, Piece
from omnipipe.coordinator.live import LiveFlight
from omnipipe.errors import ErrorKind, RequestError
from omnipipe.observe.events import EventLog, Events
from omnipipe.spec.plan import Plan
from omnipipe.wire.value import Tensor, Value

TEXT = "the quick brown fox"
LONG = " ".join([TEXT] * 10)
"""For what must not be over before something has been done about it."""
HELD_MS = 1500
"""The same."""
CLEAR_ERRORS = {ErrorKind.UNAVAILABLE, ErrorKind.OVERLOADED}


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    tmp_path.chmod(0o700)
    return echo_plan(tmp_path)


@pytest.fixture
def fleet(plan: Plan, tmp_path: Path) -> Iterator[Fleet]:
    with Fleet(plan, tmp_path) as running:
        yield running


async def until(holds: Callable[[], object], seconds: float = 60.0) -> None:
    async with asyncio.timeout(seconds):
        while not holds():  # noqa: ASYNC110 - what is waited for has no event of its own
            await asyncio.sleep(0.005)


def all_up(coordinator: Coordinator) -> bool:
    return all(stage.routable == stage.replicas for stage in coordinator.health().stages)


@asynccontextmanager
async def connected(plan: Plan, events: Events | None = None) -> AsyncIterator[Coordinator]:
    async with connect(plan, events=events) as coordinator:
        await until(lambda: all_up(coordinator))
        yield coordinator


def ask(
    text: str = TEXT,
    *,
    outputs: tuple[str, ...] = ("text",),
    params: dict[str, dict[str, Value]] | None = None,
    events: bool = False,
) -> OmniRequest:
    value: dict[str, Value] = {"text": text, "max_tokens": None, "stop": [], "voice": "alloy", "prompt_tokens": 4}
    return OmniRequest(
        "request", value, frozenset({"text"}), frozenset(outputs), stage_params=params or {}, events=events
    )


async def read(flight: LiveFlight) -> list[Piece]:
    pieces: list[Piece] = []
    try:
        while some := await flight.next():
            pieces += some
    finally:
        flight.close()
    return pieces


def text_of(pieces: list[Piece]) -> str:
    return "".join(piece.value for piece in pieces if piece.output == "text" and piece.value is not None)


def audio_bytes(pieces: list[Piece]) -> int:
    values = [piece.value for piece in pieces if piece.output == "audio" and piece.value is not None]
    return sum(value.nbytes if isinstance(value, Tensor) else len(value) for value in values)


def where(flight: LiveFlight, stage: str) -> str:
    assert flight.attempt is not None
    return flight.attempt.replicas[stage].address


async def test_text_and_audio_end_to_end(plan: Plan, fleet: Fleet) -> None:
    async with connected(plan) as coordinator:
        pieces = await read(await coordinator.submit(ask(outputs=("text", "audio"))))
        assert text_of(pieces) == TEXT
        assert audio_bytes(pieces) > 4 * 24_000 * 2 * 0.02
        ends = [piece for piece in pieces if piece.last]
        assert sorted(piece.output for piece in ends) == ["audio", "text"]
        (text_end,) = [piece.meta for piece in ends if piece.output == "text"]
        assert text_end is not None and text_end["finish_reason"] == "stop"
        await until(lambda: all(stage.running == 0 for stage in coordinator.health().stages))


async def test_many_at_once_each_get_their_own_answer(plan: Plan, fleet: Fleet) -> None:
    async with connected(plan) as coordinator:

        async def one(number: int) -> None:
            text = f"answer number {number} of many"
            assert text_of(await read(await coordinator.submit(ask(text)))) == text

        async with asyncio.TaskGroup() as group:
            for number in range(200):
                group.create_task(one(number))
        assert coordinator.health().in_flight == 0


async def test_text_alone_needs_no_audio_stage(plan: Plan, fleet: Fleet) -> None:
    async with connected(plan) as coordinator:
        fleet.kill(plan.stage("synth").addresses[0])
        await until(lambda: not coordinator.health().ready)
        assert text_of(await read(await coordinator.submit(ask()))) == TEXT


async def test_a_killed_replica_is_not_noticed_before_the_first_piece(plan: Plan, fleet: Fleet) -> None:
    async with connected(plan) as coordinator:
        for stage in ("words", "compose"):
            flight = await coordinator.submit(ask("one", params={stage: {"delay_ms": HELD_MS}}))
            before = where(flight, stage)
            fleet.kill(before)
            await until(lambda flight=flight: flight.retries == 1)  # type: ignore[misc]
            assert where(flight, stage) != before
            assert text_of(await read(flight)) == "one"


async def test_a_killed_replica_after_the_first_piece_is_one_clear_error(plan: Plan, fleet: Fleet) -> None:
    async with connected(plan) as coordinator:
        flight = await coordinator.submit(ask(LONG, params={"compose": {"delay_ms": 100}}))
        assert await flight.next()
        fleet.kill(where(flight, "compose"))
        with pytest.raises(RequestError, match="lost") as caught:
            await read(flight)
        assert caught.value.kind is ErrorKind.UNAVAILABLE


async def test_a_replica_that_has_done_its_part_may_die(plan: Plan, fleet: Fleet) -> None:
    async with connected(plan) as coordinator:
        flight = await coordinator.submit(ask(params={"compose": {"delay_ms": 100}}))
        first = await flight.next()
        fleet.kill(where(flight, "words"))
        fleet.kill(where(flight, "pitch"))
        assert text_of(first + await read(flight)) == TEXT


async def test_the_only_replica_dies_and_comes_back(plan: Plan, fleet: Fleet) -> None:
    async with connected(plan) as coordinator:
        flight = await coordinator.submit(ask(params={"pitch": {"delay_ms": HELD_MS}}))
        address = where(flight, "pitch")
        fleet.kill(address)
        await until(lambda: flight.retries)
        fleet.start(address)
        assert text_of(await read(flight)) == TEXT


async def test_a_frozen_replica_is_dead_after_a_while(plan: Plan, fleet: Fleet) -> None:
    """How long is the gateway's own to judge."""
    hasty = plan.model_copy(update={"transport": plan.transport.model_copy(update={"dead_after_s": 0.9})})
    async with connected(hasty) as coordinator:
        flight = await coordinator.submit(ask(params={"words": {"delay_ms": HELD_MS}}))
        address = where(flight, "words")
        fleet.freeze(address)
        await until(lambda: flight.retries)
        assert text_of(await read(flight)) == TEXT
        fleet.thaw(address)
        await until(lambda: all_up(coordinator))


async def test_a_failing_stage_says_so(plan: Plan, fleet: Fleet) -> None:
    async with connected(plan) as coordinator:
        for how in ("request", "error"):
            with pytest.raises(RequestError) as caught:
                await read(await coordinator.submit(ask(params={"words": {"fail": how}})))
            assert "Traceback" not in caught.value.message
        assert text_of(await read(await coordinator.submit(ask()))) == TEXT


async def test_a_client_that_leaves_frees_all_stages(plan: Plan, fleet: Fleet) -> None:
    async with connected(plan) as coordinator:
        flights = [
            await coordinator.submit(ask(params={"compose": {"delay_ms": 10_000}}, outputs=("text", "audio")))
            for _ in range(10)
        ]
        await until(lambda: sum(s.running + s.queued for s in coordinator.health().stages) >= 10)
        for flight in flights:
            flight.close()
        await until(lambda: sum(s.running + s.queued for s in coordinator.health().stages) == 0)


async def test_a_slow_reader_pauses_its_own_request_alone(plan: Plan, fleet: Fleet) -> None:
    async with connected(plan) as coordinator:
        slow = await coordinator.submit(ask(params={"compose": {"chunks": 5_000, "chunk_bytes": 100}}))
        await until(lambda: len(slow.ready) == plan.outputs[0].window_chunks)
        for _ in range(20):
            assert text_of(await read(await coordinator.submit(ask()))) == TEXT
        assert len(slow.ready) == plan.outputs[0].window_chunks
        assert len(text_of(await read(slow))) == 5_000 * 100


async def test_large_pieces_flow_through_a_byte_window(plan: Plan, fleet: Fleet) -> None:
    async with connected(plan) as coordinator:
        flight = await coordinator.submit(ask(params={"compose": {"chunks": 40, "chunk_bytes": 1 << 20}}))
        assert len(text_of(await read(flight))) == 40 << 20


async def test_two_gateways_share_the_stages(plan: Plan, fleet: Fleet) -> None:
    async with connected(plan) as one, connected(plan) as other:
        both = await asyncio.gather(*(c.submit(ask(params={"words": {"delay_ms": HELD_MS}})) for c in (one, other) * 5))
        await one.close()
        for flight in both[1::2]:
            assert text_of(await read(flight)) == TEXT
        for flight in both[::2]:
            with pytest.raises(RequestError, match="shutting down"):
                await read(flight)
        await until(lambda: sum(s.running + s.queued for s in other.health().stages) == 0)


async def test_events_tell_a_request_and_its_retry(plan: Plan, fleet: Fleet, tmp_path: Path) -> None:
    log = EventLog(tmp_path / "events", "gateway", every_request=False)
    async with connected(plan, log) as coordinator:
        await read(await coordinator.submit(ask()))
        flight = await coordinator.submit(ask(params={"words": {"delay_ms": HELD_MS}}, events=True))
        fleet.kill(where(flight, "words"))
        await read(flight)
    log.close()
    lines = [json.loads(line) for line in log.path.read_text().splitlines()[1:]]
    names = [line["event"] for line in lines]
    assert names == ["request_admitted", "submitted", "retry", "submitted", "first_piece", "request_end"]
    assert lines[1]["walk"] == "ingest,words,pitch,compose"
    assert lines[1]["rid"] != lines[3]["rid"]
    assert lines[-1]["outcome"] == "result"


async def test_each_request_ends_once_while_stages_die(plan: Plan, fleet: Fleet) -> None:
    """A short soak: clients that leave, stages that fail, and again and again a process that is killed and started
    again, when the one before is back."""
    rng = random.Random(7)
    ends: dict[str, int] = {}

    async def client(coordinator: Coordinator, number: int) -> None:
        text = f"client {number} says {rng.random()}"
        leaves, fails = rng.random() < 0.1, rng.random() < 0.1
        params: dict[str, dict[str, Value]] = {"compose": {"delay_ms": rng.choice([0, 5, 20])}}
        if fails:
            params["words"] = {"fail": "request"}
        try:
            flight = await coordinator.submit(ask(text, params=params))
            if leaves:
                await flight.next()
                flight.close()
                assert await flight.next() == []
                end = "left"
            else:
                assert text_of(await read(flight)) == text
                end = "result"
        except RequestError as error:
            assert fails or error.kind in CLEAR_ERRORS, error.message
            end = "failed" if fails else error.kind.value
        ends[end] = ends.get(end, 0) + 1

    async def reaper(coordinator: Coordinator) -> None:
        while True:
            await asyncio.sleep(0.5)
            victim = rng.choice(fleet.addresses())
            fleet.kill(victim)
            try:
                await asyncio.sleep(0.1)
            finally:  # also when the test is over just then: it waits for all of them
                fleet.start(victim)
            await until(lambda: all_up(coordinator))

    async with connected(plan) as coordinator:
        reaping = asyncio.create_task(reaper(coordinator))
        count = 600
        queue = iter(range(count))

        async def worker() -> None:
            for number in queue:
                await client(coordinator, number)

        async with asyncio.TaskGroup() as group:
            for _ in range(16):
                group.create_task(worker())
        reaping.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reaping
        assert sum(ends.values()) == count
        assert ends["result"] > count // 2
        assert coordinator.health().in_flight == 0
        assert coordinator.health().queued == 0
        await until(lambda: all_up(coordinator))
        await until(lambda: sum(s.running + s.queued for s in coordinator.health().stages) == 0)
