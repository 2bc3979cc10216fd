"""A replica that dies (kill -9), two replicas a stage: what can be saved is, what cannot ends in one clear error."""

import asyncio
import base64
import http.client
import json
import time
import urllib.parse
from collections.abc import Iterator
from typing import Any

import pytest
from tests.integration.holds.client import Chat, Refused, ask, body
from tests.integration.holds.cluster import STAGES, Cluster, Gateway, eventually

SENTENCE = "the quick brown fox jumps over the lazy dog"
LONG = " ".join([SENTENCE] * 4)
"""For what must not be over before something has been done about it."""
LONG_MS = 1500


async def holder(cluster: Cluster, stage: str) -> tuple[str, int]:
    """The replica that works on the one request there is."""
    found: list[tuple[str, int]] = []

    def look() -> list[tuple[str, int]]:
        found[:] = [(stage, n) for n in (0, 1) if cluster.stages[stage, n].lives and cluster.load(stage, n)]
        return found

    await asyncio.to_thread(eventually, look, f"a replica of {stage} has the request")
    return found[0]


@pytest.mark.parametrize("streams", [True, False], ids=["stream", "whole"])
@pytest.mark.parametrize("stage", STAGES)
async def test_before_the_first_output_the_request_runs_again_unseen(
    cluster: Cluster, gateway: Gateway, stage: str, streams: bool
) -> None:
    late = {name: {"delay_ms": LONG_MS} for name in {stage, "compose" if stage == "synth" else stage}}
    audio = stage == "synth"
    request = body("hello there", stream=streams, audio=audio, stage_params=late)
    asked = asyncio.create_task(ask(gateway.port, request))
    who = await holder(cluster, stage)
    cluster.stages[who].kill()
    answer = await asked
    assert (answer.text, answer.finish_reason, answer.done) == ("hello there", "stop", True)
    assert bool(answer.sound) == audio
    eventually(lambda: not cluster.loads(), "idle stages")


async def test_an_answer_that_is_not_streamed_is_saved_to_the_end(cluster: Cluster, gateway: Gateway) -> None:
    """Its words are at the gateway, but none has reached the client."""

    def sent(replica: int) -> float:
        return cluster.metric("compose", replica, "omnipipe_edge_chunks_total", edge="compose>text")

    pace = {"compose": {"delay_ms": 100}}
    before = [sent(0), sent(1)]
    asked = asyncio.create_task(ask(gateway.port, body(LONG, stream=False, stage_params=pace)))
    stage, replica = await holder(cluster, "compose")
    await asyncio.to_thread(eventually, lambda: sent(replica) >= before[replica] + 3, "some words are out")
    cluster.stages[stage, replica].kill()
    answer = await asked
    assert (answer.text, answer.finish_reason) == (LONG, "stop")


@pytest.mark.parametrize("stage", STAGES)
async def test_in_mid_stream(cluster: Cluster, gateway: Gateway, stage: str) -> None:
    """The words are out: the stages before `compose` have done their part, `compose` and `synth` have not."""
    pace = {"compose": {"delay_ms": 100}}
    chat = await Chat.start(gateway.port, body(LONG, audio=True, stage_params=pace))
    await chat.head()
    busy = await holder(cluster, "compose")
    heir = (await holder(cluster, "synth")) if stage == "synth" else (stage, 0)
    victims = {"compose": [busy], "synth": [heir]}.get(stage, [(stage, 0), (stage, 1)])
    for who in victims:
        cluster.stages[who].kill()
    killed_at = time.monotonic()
    answer = await chat.rest()
    await chat.close()
    if stage == "synth":
        assert answer.error is not None and answer.error["code"] == "replica_lost", answer
        assert "'audio'" in answer.error["message"] and "'synth'" in answer.error["message"], answer.error
        assert (answer.text, answer.finish_reason, answer.done) == (LONG, "stop", True)
    elif stage == "compose":
        assert answer.error is not None and not answer.done
        assert answer.error["code"] == "replica_lost" and stage in answer.error["message"], answer.error
        assert LONG.startswith(answer.text) and answer.text != LONG
        print(f"{stage}: the error came {(answer.ended_at - killed_at) * 1e3:.0f} ms after the kill")
    else:
        assert (answer.text, answer.finish_reason, answer.done, answer.error) == (LONG, "stop", True, None)
        assert answer.sound
    eventually(lambda: not cluster.loads(), "idle stages")
    if len(victims) == 1:
        assert (await ask(gateway.port, body("and again"))).text == "and again"
    else:
        with pytest.raises(Refused) as refused:  # waits for a replica as long as it may
            await ask(gateway.port, body("and again", timeout=0.5))
        assert refused.value.status == 504


def lines_of(connection: http.client.HTTPConnection) -> Iterator[tuple[str, bytes, dict[str, Any]]]:
    """Of an answer in lines, as they come: modality, data, metadata."""
    for line in connection.getresponse():
        said = json.loads(line)
        yield said["modality"], base64.b64decode(said["data"]), said["metadata"]


def test_lines_in_mid_stream(cluster: Cluster, gateway: Gateway) -> None:
    """The text goes on to its end; the line of the modality `error` is the last, as ever."""
    pace = {"stage_params": {"compose": {"delay_ms": 100}}}
    form = {"text": LONG, "output_modalities": "text,audio", "model_kwargs": json.dumps(pace)}
    connection = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=60)
    head = {"content-type": "application/x-www-form-urlencoded"}
    connection.request("POST", "/generate", urllib.parse.urlencode(form), head)
    got: list[tuple[str, bytes, dict[str, Any]]] = []
    killed = False
    for line in lines_of(connection):
        got.append(line)
        if line[0] == "audio" and not killed:
            killed = True
            for replica in (0, 1):
                cluster.stages["synth", replica].kill()
    connection.close()
    assert b"".join(data for modality, data, _ in got if modality == "text").decode() == LONG
    *_, (modality, message, metadata) = got
    assert (modality, metadata["code"], metadata["status"]) == ("error", "replica_lost", 503)
    assert b"'audio'" in message and b"'synth'" in message
    assert [modality for modality, _, _ in got].count("error") == 1
    eventually(lambda: not cluster.loads(), "idle stages")


def test_speech_is_all_there_is(cluster: Cluster, gateway: Gateway) -> None:
    """Nothing of it is left when its stage is gone: the file is cut off, as ever."""
    asked = {"model": "echo", "input": LONG, "voice": "alloy", "stage_params": {"synth": {"delay_ms": 100}}}
    connection = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=60)
    connection.request("POST", "/v1/audio/speech", json.dumps(asked), {"content-type": "application/json"})
    answer = connection.getresponse()
    assert answer.read(1000)
    for replica in (0, 1):
        cluster.stages["synth", replica].kill()
    with pytest.raises(http.client.IncompleteRead):
        answer.read()
    connection.close()
    eventually(lambda: not cluster.loads(), "idle stages")


async def test_others_hear_nothing_of_it(cluster: Cluster, gateway: Gateway) -> None:
    pace = {"compose": {"delay_ms": 150}}
    usage = {"include_usage": True}  # comes before the error, too: an SDK reads no further
    chat = await Chat.start(gateway.port, body(LONG, audio=True, stage_params=pace, stream_options=usage))
    await chat.first()
    (heir,) = [n for n in (0, 1) if cluster.load("synth", n)]
    asked = [
        asyncio.create_task(ask(gateway.port, body(LONG, stream=stream, audio=not stream, stage_params=pace)))
        for stream in (True, True, False, False)
    ]
    await asyncio.to_thread(eventually, lambda: sum(cluster.load("synth", n) for n in (0, 1)) == 3, "three speak")
    cluster.stages["synth", heir].kill()
    for answer in await asyncio.gather(*asked):
        assert (answer.text, answer.finish_reason, answer.done, answer.error) == (LONG, "stop", True, None)
    answer = await chat.rest()
    await chat.close()
    assert (answer.text, answer.done) == (LONG, True)
    assert answer.error is not None and answer.error["code"] == "replica_lost"
    eventually(lambda: not cluster.loads(), "idle stages")


async def test_a_stage_that_stays_dead_is_a_clear_refusal(cluster: Cluster, gateway: Gateway) -> None:
    """After the ten seconds in which a crashed process would be back."""
    for replica in (0, 1):
        cluster.stages["pitch", replica].kill()
    with pytest.raises(Refused) as refused:
        await ask(gateway.port, body("anybody there?"))
    assert refused.value.status == 503 and refused.value.error["code"] == "stage_unavailable"
    assert "pitch" in refused.value.error["message"] and int(refused.value.headers["retry-after"]) >= 1


async def test_one_that_has_fed_its_successor_may_die(cluster: Cluster, gateway: Gateway) -> None:
    """`compose` has said everything to `synth`, which is still at it."""
    pace = {"synth": {"delay_ms": 500}}
    asked = asyncio.create_task(ask(gateway.port, body(SENTENCE, audio=True, stage_params=pace)))
    await holder(cluster, "synth")
    await asyncio.to_thread(
        eventually, lambda: not any(stage == "compose" for stage, _ in cluster.loads()), "compose is through"
    )
    assert not asked.done()
    for replica in (0, 1):
        cluster.stages["compose", replica].kill()
    answer = await asked
    assert (answer.text, answer.finish_reason, answer.done, answer.error) == (SENTENCE, "stop", True, None)
    assert answer.sound
