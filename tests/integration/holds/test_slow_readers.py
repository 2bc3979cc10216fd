"""A client that stops reading pauses its own request, on the stages, and nobody else's; memory stays bounded; when it
reads on, it gets everything."""

import asyncio
import signal
from typing import Final

import pytest
from tests.integration.holds.client import Chat, ask, body
from tests.integration.holds.cluster import Cluster, Gateway, Process, eventually

MIB: Final = 1 << 20
BUFFER: Final = 64 << 10
"""Of the reader's socket. The kernel's sending side adds some MiB, which belong to no process."""
GROWTH: Final = 64 * MIB
"""What a process may grow by while slow readers wait: for each of them the window of its output (8 MiB at most), what
of it becomes frames, and what the allocator keeps of a moment's need. Everything they have not read is far more."""
READERS: Final = 4


class Paused:
    """What an output has sent so far, by all replicas of its stage, and whether it stands still."""

    def __init__(self, cluster: Cluster, edge: str) -> None:
        self._cluster = cluster
        self._stage, self._edge = edge.partition(">")[0], edge

    @property
    def chunks(self) -> float:
        name = "omnipipe_edge_chunks_total"
        return sum(self._cluster.metric(self._stage, n, name, edge=self._edge) for n in (0, 1))

    async def until(self, beyond: float) -> float:
        """Something was sent, and then nothing more for half a second."""
        still, seen = 0, beyond

        def look() -> bool:
            nonlocal still, seen
            now = self.chunks
            still = still + 1 if now == seen > beyond else 0
            seen = now
            return still >= 25

        await asyncio.to_thread(eventually, look, f"{self._edge} stands still")
        return seen


async def test_words_wait_for_their_reader(cluster: Cluster, gateway: Gateway) -> None:
    words = [f"{n:05d} " for n in range(60_000)]
    sent = Paused(cluster, "compose>text")
    before = sent.chunks
    chat = await Chat.start(gateway.port, body("".join(words)), receive_buffer=BUFFER)
    await chat.first()
    at_pause = await sent.until(before)
    assert at_pause - before < len(words)
    for _ in range(20):
        assert (await ask(gateway.port, body("me first"))).text == "me first"
    assert sent.chunks <= at_pause + 20 * 2, "only the others' words"
    answer = await chat.rest()
    await chat.close()
    assert (answer.text, answer.finish_reason, answer.done) == ("".join(words), "stop", True)


async def test_memory_is_bounded_while_readers_wait(cluster: Cluster, gateway: Gateway) -> None:
    chunks, size = 20_000, 4096
    warm = body("warm", stage_params={"compose": {"chunks": 2000, "chunk_bytes": size}})
    for _ in range(2):
        await ask(gateway.port, warm)
    processes = _processes(cluster, gateway)
    before = {name: process.rss_bytes() for name, process in processes.items()}
    sent = Paused(cluster, "compose>text")
    at_start = sent.chunks
    much = body("much", stage_params={"compose": {"chunks": chunks, "chunk_bytes": size}})
    readers = [await Chat.start(gateway.port, much, receive_buffer=BUFFER) for _ in range(READERS)]
    for reader in readers:
        await reader.first()
    at_pause = await sent.until(at_start)
    for _ in range(10):
        assert (await ask(gateway.port, body("me first"))).text == "me first"
    assert at_pause - at_start < READERS * chunks
    _assert_bounded(processes, before)

    patient, *leaving = readers
    for reader in leaving:
        reader.leave()
        await reader.close()
    answer = await patient.rest()
    await patient.close()
    assert (answer.pieces, answer.finish_reason, answer.done) == (chunks, "stop", True)
    assert len(answer.text) == chunks * size and set(answer.text) == {"x"}
    _assert_bounded(processes, before)
    eventually(lambda: not cluster.loads(), "idle stages")


async def test_sound_waits_for_its_reader(cluster: Cluster, gateway: Gateway) -> None:
    chunks, size = 1000, 48_000
    processes = _processes(cluster, gateway)
    await ask(gateway.port, body("warm", audio=True, stage_params={"synth": {"chunks": 200, "chunk_bytes": size}}))
    before = {name: process.rss_bytes() for name, process in processes.items()}
    sent = Paused(cluster, "synth>audio")
    at_start = sent.chunks
    much = body("a few words", audio=True, stage_params={"synth": {"chunks": chunks, "chunk_bytes": size}})
    chat = await Chat.start(gateway.port, much, receive_buffer=BUFFER)
    await chat.head()
    at_pause = await sent.until(at_start)
    assert at_pause - at_start < chunks
    for _ in range(10):
        quick = await ask(gateway.port, body("me first", audio=True))
        assert quick.text == "me first" and quick.sound
    _assert_bounded(processes, before)
    answer = await chat.rest()
    await chat.close()
    assert (answer.text, answer.finish_reason, answer.done) == ("a few words", "stop", True)
    assert len(answer.sound) == chunks * size
    eventually(lambda: not cluster.loads(), "idle stages")


async def test_one_that_leaves_while_it_is_paused(cluster: Cluster, gateway: Gateway) -> None:
    sent = Paused(cluster, "synth>audio")
    at_start = sent.chunks
    much = body("a few words", audio=True, stage_params={"synth": {"chunks": 1000, "chunk_bytes": 48_000}})
    chat = await Chat.start(gateway.port, much, receive_buffer=BUFFER)
    await chat.head()
    await sent.until(at_start)
    assert cluster.loads()
    chat.leave()
    await chat.close()
    await asyncio.to_thread(eventually, lambda: not cluster.loads(), "idle stages")
    await asyncio.to_thread(eventually, lambda: not cluster.lent_bytes(), "no memory is lent any more")
    assert gateway.health()["in_flight"] == 0


@pytest.mark.parametrize("end", ["death", "deadline"])
async def test_a_request_that_ends_while_its_reader_is_slow(cluster: Cluster, gateway: Gateway, end: str) -> None:
    """Freed at once on the stages; the reader finds what it had before, and one error after it."""
    words = [f"{n:05d} " for n in range(60_000)]
    sent = Paused(cluster, "compose>text")
    at_start = sent.chunks
    request = body("".join(words), timeout=6.0 if end == "deadline" else 60.0)
    chat = await Chat.start(gateway.port, request, receive_buffer=BUFFER)
    await chat.first()
    await sent.until(at_start)
    if end == "death":
        (busy,) = [who for who in cluster.loads() if who[0] == "compose"]
        cluster.stages[busy].kill()
    await asyncio.to_thread(eventually, lambda: not cluster.loads(), "idle stages")
    assert gateway.health()["in_flight"] == 0
    answer = await chat.rest()
    await chat.close()
    assert answer.error is not None and not answer.done
    assert answer.error["code"] == {"death": "replica_lost", "deadline": "deadline_exceeded"}[end]
    assert answer.pieces < len(words) and "".join(words).startswith(answer.text)


async def test_a_gateway_leaves_within_its_grace_whatever_its_readers_do(cluster: Cluster) -> None:
    leaver = cluster.start_gateway("--grace-s", "1")
    cluster.heal()
    words = "".join(f"{n:05d} " for n in range(60_000))
    sent = Paused(cluster, "compose>text")
    at_start = sent.chunks
    chat = await Chat.start(leaver.port, body(words), receive_buffer=BUFFER)
    await chat.first()
    await sent.until(at_start)
    leaver.signal(signal.SIGTERM)
    assert await asyncio.to_thread(leaver.exit_code) == 4  # it cut requests short
    await asyncio.to_thread(eventually, lambda: not cluster.loads(), "idle stages")
    chat.leave()
    await chat.close()


def _processes(cluster: Cluster, gateway: Gateway) -> dict[str, Process]:
    return {"gateway": gateway} | {f"{stage}-{n}": process for (stage, n), process in cluster.stages.items()}


def _assert_bounded(processes: dict[str, Process], before: dict[str, int]) -> None:
    growth = {name: process.rss_bytes() - before[name] for name, process in processes.items()}
    worst = max(growth, key=growth.__getitem__)
    print(f"RSS grew by {growth['gateway'] / MIB:.1f} MiB in the gateway, {growth[worst] / MIB:.1f} MiB in {worst}")
    assert growth[worst] < GROWTH, worst
