"""Several gateways on the same stages, with no shared state: side by side, and when one of them dies."""

import asyncio

import h11
from tests.integration.holds.client import Answer, Chat, ask, body
from tests.integration.holds.cluster import Cluster, Gateway, eventually

WORDS = " ".join(f"word{n}" for n in range(40))


async def test_both_answer_under_load(cluster: Cluster, gateway: Gateway, other_gateway: Gateway) -> None:
    async def ask_some(port: int, number: int) -> None:
        for turn in range(8):
            text = f"{number} asks for the {turn}th time"
            answer = await ask(port, body(text, stream=turn % 2 == 0, audio=turn % 4 == 3))
            assert (answer.text, answer.finish_reason, answer.done) == (text, "stop", True)

    async with asyncio.TaskGroup() as group:
        for number in range(16):
            group.create_task(ask_some((gateway, other_gateway)[number % 2].port, number))
    eventually(lambda: not cluster.loads(), f"idle stages: {cluster.loads()}")


async def test_one_that_is_killed_takes_only_its_own_requests_with_it(cluster: Cluster, other_gateway: Gateway) -> None:
    doomed = cluster.start_gateway()
    cluster.heal()
    slow = body(WORDS, audio=True, stage_params={"compose": {"delay_ms": 200}})
    mine = [await Chat.start(other_gateway.port, slow) for _ in range(8)]
    lost = [await Chat.start(doomed.port, slow) for _ in range(8)]
    for chat in [*mine, *lost]:
        await chat.first()  # of forty words at 200 ms
    streams = [asyncio.create_task(_read(chat)) for chat in mine]
    cut = [asyncio.create_task(_read(chat)) for chat in lost]

    doomed.kill()
    freed_s = await asyncio.to_thread(
        eventually, lambda: sum(cluster.loads().values()) <= 2 * len(mine), "only the living gateway's work is left"
    )
    assert not any(stream.done() for stream in streams)
    print(f"freed on the stages {freed_s * 1e3:.0f} ms after the gateway was killed")
    for result in await asyncio.gather(*cut, return_exceptions=True):
        assert isinstance(result, (h11.RemoteProtocolError, ConnectionError)), result

    answers = await asyncio.gather(*streams)
    for answer in answers:
        assert (answer.text, answer.finish_reason, answer.done) == (WORDS, "stop", True)
        assert answer.sound == answers[0].sound and answer.sound
    await asyncio.to_thread(eventually, lambda: not cluster.loads(), "idle stages")


async def test_what_was_lent_to_one_that_is_killed_comes_back(cluster: Cluster, other_gateway: Gateway) -> None:
    """Sound travels in shared memory, which a dead reader never gives back itself."""
    doomed = cluster.start_gateway()
    cluster.heal()
    much = body("much", audio=True, stage_params={"synth": {"chunks": 1000, "chunk_bytes": 48_000}})
    chats = [await Chat.start(doomed.port, much, receive_buffer=1 << 16) for _ in range(4)]
    for chat in chats:
        await chat.head()
    await asyncio.to_thread(eventually, cluster.lent_bytes, "something is lent")
    doomed.kill()
    for chat in chats:
        chat.leave()
        await chat.close()
    await asyncio.to_thread(eventually, lambda: not cluster.lent_bytes(), "all of it is back")
    answer = await ask(other_gateway.port, much)
    assert len(answer.sound) == 48_000_000 and answer.text == "much" and answer.done
    await asyncio.to_thread(eventually, lambda: not cluster.lent_bytes(), "all of that is back, too")


async def _read(chat: Chat) -> Answer:
    try:
        return await chat.rest()
    finally:
        await chat.close()
