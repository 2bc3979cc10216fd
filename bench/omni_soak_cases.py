"""What the soak of omni models asks, and how an answer is read: words alone or with media, whole or streamed, with
sound or without, and clients that go away."""

import base64
import json
from functools import cache
from typing import Any, Final

import httpx
import numpy as np
from tests.integration.families.omni_parts.media_files import make_clip, make_picture, make_video

__all__ = ["KINDS", "MODEL", "RATE_HZ", "Answer", "ask", "body", "differ", "leave"]

MODEL: Final = "omni"
KINDS: Final = 30
"""Requests that are not alike: of every number beyond, an earlier one asks the same."""
RATE_HZ: Final = 24_000
_TOKENS, _FRAMES = 10, 12
_LONG_TOKENS, _LONG_FRAMES = 2000, 3000
_ROUNDING: Final = 3
"""Of 32767: the 1e-4 within which waveforms are the same."""

Answer = tuple[str, bytes]
"""Text and sound."""


def _url(kind: str, data: bytes) -> dict[str, str]:
    return {"url": f"data:{kind};base64,{base64.b64encode(data).decode()}"}


@cache
def _image(seed: int) -> dict[str, Any]:
    return {"type": "image_url", "image_url": _url("image/png", make_picture(seed=seed))}


@cache
def _sound(hz: float) -> dict[str, Any]:
    data = base64.b64encode(make_clip(hz=hz)).decode()
    return {"type": "input_audio", "input_audio": {"data": data, "format": "wav"}}


@cache
def _video(seed: int) -> dict[str, Any]:
    return {"type": "video_url", "video_url": _url("video/mp4", make_video(seed=seed))}


def _question(number: int) -> list[dict[str, Any]]:
    words = {"type": "text", "text": f"What is in number {number % 7}?"}
    match number % 5:
        case 0:
            return [words]
        case 1:
            return [_image(number % 3), words]
        case 2:
            return [_sound((330.0, 520.0)[number % 2]), words]
        case 3:
            return [words, _video(number % 2)]
        case _:
            return [_image(0), _sound(520.0), words]


def body(number: int) -> dict[str, Any]:
    """Every other one is spoken, every third streamed."""
    asked: dict[str, Any] = {
        "model": MODEL,
        "messages": [{"role": "user", "content": _question(number)}],
        "temperature": 0,
        "max_tokens": _TOKENS,
        "ignore_eos": True,
        "stream": number % 3 == 0,
    }
    if number % 2:
        asked |= {"modalities": ["text", "audio"], "audio": {"voice": "ethan", "format": "pcm16"}}
        asked |= {"talker_do_sample": False, "talker_max_new_tokens": _FRAMES}
    return asked


async def ask(client: httpx.AsyncClient, asked: dict[str, Any]) -> Answer:
    """Whichever way it comes. Raises RuntimeError when it ends in an error."""
    if not asked["stream"]:
        answer = await client.post("chat/completions", json=asked)
        if answer.status_code != 200:
            raise RuntimeError(f"{answer.status_code}: {answer.text:.300}")
        return _said(answer.json()["choices"][0]["message"])
    text, sound = "", b""
    async with client.stream("POST", "chat/completions", json=asked) as stream:
        if stream.status_code != 200:
            raise RuntimeError(f"{stream.status_code}: {(await stream.aread())[:300]!r}")
        async for line in stream.aiter_lines():
            if line.startswith("data: {"):
                event = json.loads(line.removeprefix("data: "))
                if "error" in event:
                    raise RuntimeError(f"the answer ended in {event['error']}")
                for choice in event["choices"]:
                    words, samples = _said(choice["delta"])
                    text, sound = text + words, sound + samples
    return text, sound


async def leave(client: httpx.AsyncClient, asked: dict[str, Any], lines: int) -> None:
    """Goes away after so many lines of an answer that would have been long."""
    long = asked | {"stream": True, "max_tokens": _LONG_TOKENS}
    if "talker_max_new_tokens" in asked:
        long |= {"talker_max_new_tokens": _LONG_FRAMES}
    async with client.stream("POST", "chat/completions", json=long) as stream:
        if stream.status_code != 200:
            raise RuntimeError(f"{stream.status_code}: {(await stream.aread())[:300]!r}")
        read = stream.aiter_lines()
        for _ in range(lines):
            await anext(read)


def differ(one: Answer, other: Answer) -> str:
    """What of two answers is not the same; of sound, more than rounding: pieces are cut where the codes were late."""
    if one[0] != other[0]:
        return f"{one[0]!r} and {other[0]!r}"
    if len(one[1]) != len(other[1]):
        return f"{len(one[1])} and {len(other[1])} bytes of sound"
    first, second = (np.frombuffer(sound, "<i2").astype(np.int32) for _, sound in (one, other))
    most = int(np.abs(first - second).max(initial=0))
    return f"samples {most} apart" if most > _ROUNDING else ""


def _said(message: dict[str, Any]) -> Answer:
    audio = message.get("audio") or {}
    return message.get("content") or audio.get("transcript") or "", base64.b64decode(audio.get("data") or "")
