"""A process that is stopped (SIGSTOP) shows nothing but silence, and comes back later with what it had."""

import asyncio
import signal
import time
from pathlib import Path

import pytest
from tests.integration.holds.client import Answer, Chat, Refused, ask, body
from tests.integration.holds.cluster import DEADLINE_S, Cluster, Gateway, eventually, frozen

SENTENCE = "the quick brown fox jumps over the lazy dog"


@pytest.mark.parametrize("stage", ["words", "compose"])
async def test_its_requests_end_and_it_comes_back(cluster: Cluster, gateway: Gateway, stage: str) -> None:
    """`words` is on TCP, `compose` on ipc."""
    victim = cluster.stages[stage, 0]
    others = [asyncio.create_task(_ask(gateway.port, number)) for number in range(16)]
    streams = [await Chat.start(gateway.port, _slow(stage, number)) for number in range(4)]
    for stream in streams:
        if stage == "compose":
            await stream.first()
    with frozen([victim]):
        began = time.monotonic()
        noticed_s = await asyncio.to_thread(
            eventually, lambda: gateway.routable()[stage] == 1, f"{stage}-0 is out of rotation"
        )
        print(f"SIGSTOP of {stage}-0 noticed after {noticed_s:.2f} s")
        answers = await asyncio.gather(*(_rest(stream, begun=stage == "compose") for stream in streams))
        for answer in answers:
            if answer.error is None:
                assert (answer.text, answer.done) == (SENTENCE, True)
            else:
                assert stage == "compose" and answer.error["code"] == "replica_lost"
                assert SENTENCE.startswith(answer.text)
        if stage == "words":
            assert not any(answer.error for answer in answers), "nothing had reached a client"
        else:
            assert {answer.error is None for answer in answers} == {True, False}, "one replica is well"
        for number, other in enumerate(await asyncio.gather(*others)):
            assert other.text == f"question {number}" and other.done
        print(f"all ended {time.monotonic() - began:.2f} s after SIGSTOP")
    back_s = await asyncio.to_thread(eventually, lambda: gateway.routable()[stage] == 2, f"{stage}-0 is back")
    print(f"back {back_s:.2f} s after SIGCONT")
    done = cluster.metric(stage, 0, "omnipipe_stage_requests_total", outcome="done")
    async with asyncio.timeout(DEADLINE_S):
        while cluster.metric(stage, 0, "omnipipe_stage_requests_total", outcome="done") == done:
            assert (await ask(gateway.port, body("and now"))).text == "and now"
    await asyncio.to_thread(eventually, lambda: not cluster.loads(), "idle stages")


async def test_all_replicas_of_a_stage(cluster: Cluster, gateway: Gateway) -> None:
    """Nobody can take over: no request hangs, and it ends by itself when they are back."""
    victims = [cluster.stages["pitch", 0], cluster.stages["pitch", 1]]
    with frozen(victims):
        await asyncio.to_thread(eventually, lambda: gateway.routable()["pitch"] == 0, "pitch is out of rotation")
        with pytest.raises(Refused) as refused:
            await ask(gateway.port, body("too long", timeout=0.5))
        assert refused.value.status == 504, refused.value
        waiting = asyncio.create_task(ask(gateway.port, body("patience")))
        await asyncio.sleep(0)
        assert gateway.get("/readyz")[0] == 503
    assert (await waiting).text == "patience"


async def test_a_step_that_does_not_end(cluster: Cluster, tmp_path: Path) -> None:
    """The process answers, its engine does not: it is out of rotation until the step has ended. `synth` has its engine
    in a thread; how long a step may take is each gateway's own to judge."""
    hasty = cluster.plan.transport.model_copy(update={"stalled_after_s": 1.0})
    path = tmp_path / "hasty.json"
    path.write_text(cluster.plan.model_copy(update={"transport": hasty}).to_json())
    gateway = cluster.start_gateway(plan=path)
    cluster.heal()
    stuck = asyncio.create_task(
        ask(gateway.port, body("hello", audio=True, stage_params={"synth": {"block_ms": 8000}}))
    )
    await asyncio.to_thread(eventually, lambda: gateway.routable()["synth"] == 1, "one is out of rotation")
    answer = await stuck
    assert answer.error is not None and answer.error["code"] == "replica_lost" and answer.text == "hello"
    for number in range(4):
        assert (await ask(gateway.port, body(f"number {number}", audio=True))).sound
    await asyncio.to_thread(eventually, lambda: gateway.routable()["synth"] == 2, "it is back")
    gateway.kill()


async def test_a_gateway_that_was_stopped(cluster: Cluster, other_gateway: Gateway) -> None:
    """The stages give its work up; awake again it says so, and serves."""
    frozen_one = cluster.start_gateway()
    cluster.heal()
    slow = body(SENTENCE, stage_params={"compose": {"delay_ms": 60_000}})
    chat = await Chat.start(frozen_one.port, slow)
    await asyncio.to_thread(eventually, lambda: "compose" in {stage for stage, _ in cluster.loads()}, "it runs")
    with frozen([frozen_one]):
        freed_s = await asyncio.to_thread(eventually, lambda: not cluster.loads(), "its work is freed")
        print(f"work of a stopped gateway freed after {freed_s:.2f} s")
        assert (await ask(other_gateway.port, body("meanwhile"))).text == "meanwhile"
    chat.leave()
    await chat.close()
    await asyncio.to_thread(eventually, lambda: frozen_one.health()["ready"], "it is ready again")
    assert (await ask(frozen_one.port, body("awake"))).text == "awake"
    frozen_one.signal(signal.SIGTERM)
    assert frozen_one.exit_code() == 0


def _slow(stage: str, number: int) -> dict[str, object]:
    return body(SENTENCE, stage_params={stage: {"delay_ms": 1500 if stage == "words" else 600}})


async def _ask(port: int, number: int) -> Answer:
    """Not streamed: whatever happens to a replica, it can be saved."""
    return await ask(port, body(f"question {number}", stream=False, stage_params={"compose": {"delay_ms": 100}}))


async def _rest(chat: Chat, *, begun: bool) -> Answer:
    try:
        return await (chat.rest() if begun else chat.stream())
    finally:
        await chat.close()
