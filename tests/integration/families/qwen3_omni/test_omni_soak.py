"""The whole pipeline under 64 requests at a time, of all kinds, and the sound that it gives in every format."""

import asyncio
import base64
import json
import random
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, Final

import httpx
import numpy as np
import pytest
from tests.integration.families.qwen3_omni.media_files import make_clip, make_picture, make_video
from tests.integration.gateway.spoken import seconds_of
from tests.integration.local.served import Served

pytestmark = [
    pytest.mark.timeout(400),  # torch and transformers are imported by six processes
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
]

START_S: Final = 240.0
LIMIT_S: Final = 120.0
"""For all that is asked at once, on a machine that does other things as well."""
MANIFEST: Final = """
apiVersion: omnipipe.dev/v1alpha1
kind: OmniPipeline
metadata: {{name: omni}}
spec:
  model: {{family: qwen3_omni, source: "file://{folder}"}}
  stages:
    - {{name: thinker, engine: {{kvBytes: 16777216}}}}
    - {{name: talker, engine: {{kvBytes: 16777216}}}}
  transport: {{deadAfterSeconds: 10}}  # a busy machine may keep a stage quiet for long
"""
AT_ONCE, LEAVE, WAVES = 64, 12, 3
TOKENS, FRAMES = 10, 12
RATE_HZ: Final = 24_000
ROUNDING: Final = 3
"""Of 32767: the 1e-4 within which waveforms are the same."""
BUSY: Final = ("stage_running", "stage_queued", "stage_orphans", "coordinator_in_flight", "coordinator_queued")


def url(kind: str, data: bytes) -> dict[str, str]:
    return {"url": f"data:{kind};base64,{base64.b64encode(data).decode()}"}


IMAGES: Final = [{"type": "image_url", "image_url": url("image/png", make_picture(seed=seed))} for seed in range(3)]
SOUNDS: Final = [
    {"type": "input_audio", "input_audio": {"data": base64.b64encode(make_clip(hz=hz)).decode(), "format": "wav"}}
    for hz in (330.0, 520.0)
]
VIDEOS: Final = [{"type": "video_url", "video_url": url("video/mp4", make_video(seed=seed))} for seed in range(2)]


def question(number: int) -> list[dict[str, Any]]:
    """What is asked in the request of this number: words alone, or with media."""
    words = {"type": "text", "text": f"What is in number {number % 7}?"}
    match number % 5:
        case 0:
            return [words]
        case 1:
            return [IMAGES[number % 3], words]
        case 2:
            return [SOUNDS[number % 2], words]
        case 3:
            return [words, VIDEOS[number % 2]]
        case _:
            return [IMAGES[0], SOUNDS[1], words]


def body(number: int) -> dict[str, Any]:
    asked: dict[str, Any] = {
        "model": "omni",
        "messages": [{"role": "user", "content": question(number)}],
        "temperature": 0,
        "max_tokens": TOKENS,
        "ignore_eos": True,
        "stream": number % 3 == 0,
    }
    if number % 2:
        asked |= {"modalities": ["text", "audio"], "audio": {"voice": "ethan", "format": "pcm16"}}
        asked |= {"talker_do_sample": False, "talker_max_new_tokens": FRAMES}
    return asked


@pytest.fixture(scope="module")
def served(omni_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("omni-soak")
    manifest = folder / "omni.yaml"
    manifest.write_text(MANIFEST.format(folder=omni_folder))
    environment = {"TORCHINDUCTOR_CACHE_DIR": str(folder / "inductor"), "OMP_NUM_THREADS": "1"}
    with Served(folder, manifest, "--port", "0", env=environment) as served:
        served.wait_until_ready(START_S)
        yield served


@pytest.fixture
async def client(served: Served) -> AsyncIterator[httpx.AsyncClient]:
    limits = httpx.Limits(max_connections=2 * AT_ONCE)
    async with httpx.AsyncClient(base_url=f"{served.url}/", timeout=LIMIT_S, limits=limits) as client:
        yield client


async def ask(client: httpx.AsyncClient, asked: dict[str, Any]) -> tuple[str, bytes]:
    """The text and the sound of an answer, whichever way it comes."""
    if not asked["stream"]:
        answer = await client.post("chat/completions", json=asked)
        assert answer.status_code == 200, answer.text
        return _said(answer.json()["choices"][0]["message"])
    text, sound = "", b""
    async with client.stream("POST", "chat/completions", json=asked) as stream:
        assert stream.status_code == 200, await stream.aread()
        async for line in stream.aiter_lines():
            if line.startswith("data: {"):
                event = json.loads(line.removeprefix("data: "))
                assert "error" not in event, event
                for choice in event["choices"]:
                    words, samples = _said(choice["delta"])
                    text, sound = text + words, sound + samples
    return text, sound


def _said(message: dict[str, Any]) -> tuple[str, bytes]:
    audio = message.get("audio") or {}
    return message.get("content") or audio.get("transcript") or "", base64.b64decode(audio.get("data") or "")


def differ(one: tuple[str, bytes], other: tuple[str, bytes]) -> str:
    """What of two answers is not the same; of sound, more than rounding: pieces are cut where the codes were late."""
    if one[0] != other[0]:
        return f"{one[0]!r} and {other[0]!r}"
    if len(one[1]) != len(other[1]):
        return f"{len(one[1])} and {len(other[1])} bytes of sound"
    first, second = (np.frombuffer(sound, "<i2").astype(np.int32) for _, sound in (one, other))
    most = int(np.abs(first - second).max(initial=0))
    return f"samples {most} apart" if most > ROUNDING else ""


async def leave(client: httpx.AsyncClient, asked: dict[str, Any], pieces: int) -> None:
    """Goes away after so many lines of an answer that would have been long."""
    long = asked | {"stream": True, "max_tokens": 2000}
    if "talker_max_new_tokens" in asked:
        long |= {"talker_max_new_tokens": 3000}
    async with client.stream("POST", "chat/completions", json=long) as stream:
        assert stream.status_code == 200, await stream.aread()
        lines = stream.aiter_lines()
        for _ in range(pieces):
            await anext(lines)


async def busy(client: httpx.AsyncClient, served: Served) -> list[str]:
    """The gauges that are not at zero."""
    page = (await client.get(served.url.removesuffix("/v1") + "/metrics")).text
    starts = tuple(f"omnipipe_{name}{{" for name in BUSY)
    gauges = [line for line in page.splitlines() if line.startswith(starts)]
    assert gauges
    return [line for line in gauges if float(line.rpartition(" ")[2])]


async def test_each_of_many_gets_the_answer_that_it_gets_alone(client: httpx.AsyncClient, served: Served) -> None:
    kinds = 30  # every number beyond asks again what an earlier one did
    alone = [await ask(client, body(number)) for number in range(kinds)]
    assert all(text for text, _ in alone)
    assert [bool(sound) for _, sound in alone] == [bool(number % 2) for number in range(kinds)]
    dice = random.Random(7)
    for _ in range(WAVES):
        await wave(client, alone, dice)
        async with asyncio.timeout(LIMIT_S):
            while left := await busy(client, served):
                assert served.process.poll() is None, left
                await asyncio.sleep(0.05)
    assert not differ(await ask(client, body(1)), alone[1])


async def wave(client: httpx.AsyncClient, alone: list[tuple[str, bytes]], dice: random.Random) -> None:
    """64 at once: whoever stays gets what was got alone, whoever else leaves."""
    kinds = range(len(alone))
    numbers = [*kinds, *kinds][: AT_ONCE - LEAVE]
    dice.shuffle(numbers)
    async with asyncio.timeout(LIMIT_S), asyncio.TaskGroup() as group:
        tasks = [group.create_task(ask(client, body(number))) for number in numbers]
        for number in dice.sample(kinds, LEAVE):
            group.create_task(leave(client, body(number), dice.choice((0, 1, 4, 20))))
    found = {number: differ(task.result(), alone[number]) for number, task in zip(numbers, tasks, strict=True)}
    assert not any(found.values()), {number: what for number, what in found.items() if what}


FORMATS: Final = {"wav": 0.0, "pcm16": 0.0, "flac": 0.0, "mp3": 0.15, "opus": 0.1, "aac": 0.15}
"""Format -> seconds that its frames may add or cut at the ends."""


async def test_every_format_is_as_long_as_what_was_said(client: httpx.AsyncClient) -> None:
    spoken = body(1) | {"stream": False, "talker_max_new_tokens": 40, "max_tokens": 20}
    spoken["messages"] = [{"role": "user", "content": "hello"}]  # this model speaks for long about it
    read = {"model": "omni", "input": "One two three.", "voice": "ethan", "seed": 1, "max_new_tokens": 40}
    _, pcm = await ask(client, spoken)
    raw = (await client.post("audio/speech", json=read | {"response_format": "pcm"})).content
    assert len(pcm) > RATE_HZ
    assert len(raw) > RATE_HZ
    for name, slack in FORMATS.items():
        _, chatted = await ask(client, spoken | {"audio": {"voice": "ethan", "format": name}})
        answer = await client.post("audio/speech", json=read | {"response_format": name.removesuffix("16")})
        assert answer.status_code == 200, answer.text
        for sound, samples in ((chatted, pcm), (answer.content, raw)):
            seconds = len(sound) / 2 / RATE_HZ if name == "pcm16" else seconds_of(sound)
            assert seconds == pytest.approx(len(samples) / 2 / RATE_HZ, abs=slack + 1e-6), name
