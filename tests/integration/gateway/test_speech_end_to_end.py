"""Speech and the native route over real stages: the echo pipeline, in processes, behind a gateway process."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from tests.integration.gateway.processes import GatewayProcess, echo_plan, echo_stages, gateway_process
from tests.integration.gateway.serving import DEADLINE_S
from tests.integration.gateway.spoken import seconds_of

from omnipipe.families.echo.text import split_words
from omnipipe.families.echo.tones import SAMPLE_RATE_HZ, pitches, tone

SENTENCE = "The quick brown fox jumps over the lazy dog. "
LONG = (SENTENCE * 25).strip()
"""More than two times what the family says in one go."""

pytestmark = pytest.mark.timeout(400)


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[GatewayProcess]:
    plan = echo_plan(tmp_path)
    async with echo_stages(plan, tmp_path), gateway_process(tmp_path) as process:
        await process.is_listening()
        async with client_of(process) as client, asyncio.timeout(DEADLINE_S):
            while (await client.get("/readyz")).status_code != 200:  # noqa: ASYNC110  # another process
                await asyncio.sleep(0.01)
        yield process


def client_of(process: GatewayProcess) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=process.url, timeout=DEADLINE_S)


def sung(text: str, voice: str = "alloy") -> bytes:
    words = split_words(text)
    return b"".join(tone(word, hz, voice) for word, hz in zip(words, pitches(words), strict=True))


async def say(client: httpx.AsyncClient, text: str, **fields: Any) -> httpx.Response:
    return await client.post("/v1/audio/speech", json={"input": text, "response_format": "pcm", **fields})


async def test_a_pipeline_speaks(gateway: GatewayProcess) -> None:
    async with client_of(gateway) as client:
        assert (await say(client, LONG)).content == sung(LONG)
        assert (await say(client, "one two", voice="cello")).content == sung("one two", "cello")

        mp3 = await say(client, LONG, response_format="mp3")
        assert seconds_of(mp3.content) == pytest.approx(len(sung(LONG)) / 2 / SAMPLE_RATE_HZ, abs=0.05)

        events = (await say(client, LONG, stream_format="sse")).text
        done = json.loads(events.strip().rpartition("data: ")[2])
        words = len(LONG.split())
        assert done["usage"] == {"input_tokens": words, "output_tokens": words, "total_tokens": 2 * words}

        form = {"text": "one two", "output_modalities": "text,audio", "streaming": "false"}
        outputs = (await client.post("/generate", data=form)).json()["outputs"]
        found = {name: base64.b64decode(entry["data"]) for name, (entry,) in outputs.items()}
        assert found == {"text": b"one two", "audio": sung("one two")}


async def test_what_is_said_to_one_is_not_heard_by_another(gateway: GatewayProcess) -> None:
    texts = [f"{'word ' * (index + 1)}{index}. {SENTENCE * (index % 4 * 4)}".strip() for index in range(16)]
    async with client_of(gateway) as client:
        answers = await asyncio.gather(*(say(client, text) for text in texts))
    assert [answer.content == sung(text) for answer, text in zip(answers, texts, strict=True)] == [True] * 16


async def test_a_stage_that_fails_in_the_middle_breaks_the_file_off(gateway: GatewayProcess) -> None:
    fails = {"synth": {"fail": "error", "fail_after": 2, "delay_ms": 20}}
    async with client_of(gateway) as client:
        with pytest.raises(httpx.RemoteProtocolError):
            await say(client, SENTENCE, stage_params=fails)
        early = await say(client, SENTENCE, stage_params={"synth": {"fail": "error"}})
        assert (early.status_code, early.json()["error"]["type"]) == (500, "server_error")
        events = await say(client, SENTENCE, stage_params=fails, stream_format="sse")
        assert [*json.loads(events.text.strip().rpartition("data: ")[2])] == ["error"]


async def test_a_listener_who_leaves_frees_every_stage(gateway: GatewayProcess) -> None:
    slow = {"synth": {"delay_ms": 200}}
    async with client_of(gateway) as client:
        body = {"input": LONG, "response_format": "pcm", "stage_params": slow}
        async with client.stream("POST", "/v1/audio/speech", json=body) as answer:
            await anext(answer.aiter_bytes())
        async with asyncio.timeout(DEADLINE_S):
            while await _busy(client):  # noqa: ASYNC110  # another process
                await asyncio.sleep(0.01)


async def _busy(client: httpx.AsyncClient) -> bool:
    (report,) = (await client.get("/health")).json()["pipelines"]
    return any(stage["queued"] or stage["running"] for stage in report["stages"])


async def test_a_slow_listener_holds_up_nobody_but_himself(gateway: GatewayProcess) -> None:
    """His sound is 96 MB, which nobody keeps for him."""
    plenty = {"synth": {"chunks": 2000, "chunk_bytes": 48_000}}
    memory = psutil.Process(gateway.process.pid).memory_info
    async with client_of(gateway) as client, client_of(gateway) as slow:
        assert (await say(client, SENTENCE)).content == sung(SENTENCE)
        before = memory().rss
        body = {"input": "x", "response_format": "pcm", "stage_params": plenty}
        async with slow.stream("POST", "/v1/audio/speech", json=body) as answer:
            for _ in range(20):
                assert (await say(client, SENTENCE)).content == sung(SENTENCE)
            assert memory().rss - before < 48 << 20
            received = 0
            async for piece in answer.aiter_raw():
                received += len(piece)
    assert received == 2000 * 48_000
