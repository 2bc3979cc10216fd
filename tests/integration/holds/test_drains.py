"""SIGTERM: running work finishes, nothing new is taken, exit code 0; no request fails because a replica leaves."""

import asyncio
import signal

import pytest
from tests.integration.holds.client import Answer, Chat, Refused, ask, body
from tests.integration.holds.cluster import STAGES, Cluster, Gateway, eventually

SENTENCE = "the quick brown fox jumps over the lazy dog"
LONG = " ".join([SENTENCE] * 4)
"""For what must not be over before something has been done about it."""
ASKERS = 12


@pytest.mark.parametrize("stage", STAGES)
async def test_no_request_fails_when_a_replica_leaves(
    cluster: Cluster, gateway: Gateway, other_gateway: Gateway, stage: str
) -> None:
    enough = asyncio.Event()
    pace = {name: {"delay_ms": 3} for name in STAGES}

    async def asker(number: int) -> list[Answer]:
        answers = []
        port = (gateway, other_gateway)[number % 2].port
        while not enough.is_set():
            request = body(SENTENCE, audio=True, stream=number % 3 > 0, stage_params=pace)
            answers.append(await ask(port, request))
        return answers

    asking = [asyncio.create_task(asker(number)) for number in range(ASKERS)]
    leaver = cluster.stages[stage, 0]
    try:
        await asyncio.to_thread(eventually, lambda: cluster.load(stage, 0), f"{stage}-0 has work")
        leaver.signal(signal.SIGTERM)
        assert await asyncio.to_thread(leaver.exit_code) == 0
        await asyncio.to_thread(cluster.heal)  # and back, under the same load
    finally:
        enough.set()
    answers = [answer for answers in await asyncio.gather(*asking) for answer in answers]
    assert len(answers) >= ASKERS
    for answer in answers:
        assert (answer.text, answer.finish_reason, answer.done, answer.error) == (SENTENCE, "stop", True, None)
        assert answer.sound


async def test_a_gateway_finishes_its_streams_and_takes_nothing_new(cluster: Cluster) -> None:
    leaver = cluster.start_gateway()
    cluster.heal()
    pace = {"compose": {"delay_ms": 150}}
    streams = [await Chat.start(leaver.port, body(LONG, audio=n % 2 == 1, stage_params=pace)) for n in range(4)]
    kept = await Chat.start(leaver.port, body("kept", stream=False))
    assert (await kept.whole()).text == "kept"
    for stream in streams:
        await stream.head()
    leaver.signal(signal.SIGTERM)
    await asyncio.to_thread(eventually, lambda: "draining" in leaver.text, "it has heard")

    try:
        await ask(leaver.port, body("one more"))
        raise AssertionError("a draining gateway took a request")
    except ConnectionError:
        pass  # refused, or hung up on in the queue of a socket that was just closed
    except Refused as refused:
        assert refused.status == 503 and refused.headers["retry-after"], refused
        assert refused.error["code"] == "draining"
    for stream in streams:
        answer = await stream.rest()
        assert (answer.text, answer.finish_reason, answer.done, answer.error) == (LONG, "stop", True, None)
        await stream.close()
    await kept.close()
    assert await asyncio.to_thread(leaver.exit_code) == 0
    eventually(lambda: not cluster.loads(), "idle stages")


async def test_a_gateway_that_drains_too_long_says_so_to_its_clients(cluster: Cluster) -> None:
    leaver = cluster.start_gateway("--grace-s", "0.3")
    cluster.heal()
    chat = await Chat.start(leaver.port, body(SENTENCE, stage_params={"compose": {"delay_ms": 5000}}))
    waiting = asyncio.create_task(chat.head())
    await asyncio.to_thread(eventually, lambda: "compose" in {stage for stage, _ in cluster.loads()}, "it runs")
    leaver.signal(signal.SIGTERM)
    with pytest.raises(Refused) as refused:
        await waiting
    assert refused.value.status == 503 and refused.value.error["code"] == "draining", refused.value
    await chat.close()
    assert await asyncio.to_thread(leaver.exit_code) in (0, 4)
    eventually(lambda: not cluster.loads(), "idle stages")
