"""Deadlines and admission, seen by clients and on the stages."""

import asyncio
from pathlib import Path

import pytest
from tests.integration.holds.client import Answer, Chat, Refused, ask, body
from tests.integration.holds.cluster import STAGES, Cluster, Gateway, eventually

SENTENCE = "the quick brown fox jumps over the lazy dog"
CHUNKS = 10_000
"""Of 4 KiB: far more than all buffers on the way to a client hold."""


@pytest.mark.parametrize("streams", [True, False], ids=["stream", "whole"])
@pytest.mark.parametrize("stage", STAGES)
async def test_a_deadline_at_any_stage(cluster: Cluster, gateway: Gateway, stage: str, streams: bool) -> None:
    late = {stage: {"delay_ms": 60_000}} | ({"compose": {"delay_ms": 60_000}} if stage == "synth" else {})
    with pytest.raises(Refused) as refused:
        await ask(gateway.port, body("hello", stream=streams, audio=True, stage_params=late, timeout=0.4))
    assert refused.value.status == 504
    assert set(refused.value.error) == {"message", "type", "param", "code"}
    assert refused.value.error["code"] == "deadline_exceeded"
    eventually(lambda: not cluster.loads(), "idle stages")


async def test_a_deadline_in_mid_stream(cluster: Cluster, gateway: Gateway) -> None:
    answer = await ask(gateway.port, body(SENTENCE, stage_params={"compose": {"delay_ms": 700}}, timeout=4.0))
    assert answer.error is not None and answer.error["code"] == "deadline_exceeded"
    assert not answer.done and SENTENCE.startswith(answer.text) and answer.text
    eventually(lambda: not cluster.loads(), "idle stages")


async def test_the_queue_is_bounded_and_what_is_admitted_completes(cluster: Cluster, tmp_path: Path) -> None:
    """A gateway of its own: limits are no part of a revision, so it may join the same stages."""
    narrow = cluster.plan.gateway.model_copy(update={"max_in_flight": 2, "max_queued": 2})
    path = tmp_path / "narrow.json"
    path.write_text(cluster.plan.model_copy(update={"gateway": narrow}).to_json())
    gateway = cluster.start_gateway(plan=path)
    cluster.heal()
    running = [await _held(gateway) for _ in range(2)]
    queued = [asyncio.create_task(ask(gateway.port, body(f"queued {n}", stream=n == 0))) for n in range(2)]
    await asyncio.to_thread(eventually, lambda: gateway.health()["queued"] == 2, "two wait")
    rest = await asyncio.gather(*(ask(gateway.port, body("too many")) for _ in range(10)), return_exceptions=True)
    for refused in rest:
        assert isinstance(refused, Refused), refused
        assert refused.status == 429 and refused.error["code"] == "overloaded"
        assert int(refused.headers["retry-after"]) >= 1
    answers: list[Answer] = [await chat.rest() for chat in running]
    for chat in running:
        await chat.close()
    assert [(answer.pieces, answer.finish_reason, answer.done) for answer in answers] == [(CHUNKS, "stop", True)] * 2
    assert sorted(answer.text for answer in await asyncio.gather(*queued)) == ["queued 0", "queued 1"]
    eventually(lambda: not gateway.health()["in_flight"] + gateway.health()["queued"], "nothing is left")
    refusals = gateway.metric("omnipipe_coordinator_admission_refused_total", reason="queue_full")
    assert refusals == 10


async def test_who_leaves_the_queue_makes_room(cluster: Cluster, tmp_path: Path) -> None:
    narrow = cluster.plan.gateway.model_copy(update={"max_in_flight": 1, "max_queued": 1})
    path = tmp_path / "narrow.json"
    path.write_text(cluster.plan.model_copy(update={"gateway": narrow}).to_json())
    gateway = cluster.start_gateway(plan=path)
    cluster.heal()
    running = await _held(gateway)
    waiting = await Chat.start(gateway.port, body("never mind"))
    await asyncio.to_thread(eventually, lambda: gateway.health()["queued"] == 1, "one waits")
    waiting.leave()
    await waiting.close()
    await asyncio.to_thread(eventually, lambda: gateway.health()["queued"] == 0, "none waits")
    next_one = asyncio.create_task(ask(gateway.port, body("thank you")))
    assert (await running.rest()).pieces == CHUNKS
    await running.close()
    assert (await next_one).text == "thank you"


async def _held(gateway: Gateway) -> Chat:
    """One that runs until its answer is read."""
    much = body("much", stage_params={"compose": {"chunks": CHUNKS, "chunk_bytes": 4096}})
    chat = await Chat.start(gateway.port, much, receive_buffer=1 << 16)
    await chat.first()
    return chat
