"""The load of P7: spoken chats over HTTP, streamed, so many at a time, each timed by its client."""

import asyncio
import base64
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import httpx

__all__ = ["Said", "speak_all"]

_BYTES_A_SECOND = 2 * 24_000
_LIMIT_S = 60.0
"""A request that takes longer hangs."""
_TRIES = 5
_AGAIN_S = 0.5
"""Before a request that was refused for now, or lost with a replica, is asked again, as the SDKs do: a busy machine can
keep a stage quiet for so long that it is taken for dead. The time counts."""


@dataclass(frozen=True)
class Said:
    """What one client heard, and when."""

    text: str
    first_s: float
    """Until the first byte of sound."""
    whole_s: float
    sound_s: float
    """How long the sound is."""


def speak_all(url: str, bodies: Sequence[dict[str, Any]], at_once: int) -> list[Said]:
    """All of them, in order, so many at a time. Raises RuntimeError or httpx.HTTPError: a figure needs every answer."""
    return asyncio.run(_speak_all(url, bodies, at_once))


class _Refused(Exception):
    """503, or a replica that was lost."""


async def _speak_all(url: str, bodies: Sequence[dict[str, Any]], at_once: int) -> list[Said]:
    said: dict[int, Said] = {}
    left = iter(enumerate(bodies))
    async with httpx.AsyncClient(timeout=_LIMIT_S) as client, asyncio.TaskGroup() as group:
        for _ in range(at_once):
            group.create_task(_one_after_another(client, url, left, said))
    return [said[number] for number in range(len(bodies))]


async def _one_after_another(
    client: httpx.AsyncClient, url: str, left: Iterator[tuple[int, dict[str, Any]]], said: dict[int, Said]
) -> None:
    for number, body in left:
        said[number] = await _speak_at_last(client, url, body)


async def _speak_at_last(client: httpx.AsyncClient, url: str, body: dict[str, Any]) -> Said:
    begun = time.perf_counter()
    for _ in range(_TRIES):
        try:
            return await _speak(client, url, body, begun)
        except _Refused as refused:
            last = refused
            await asyncio.sleep(_AGAIN_S)
    raise RuntimeError(f"refused {_TRIES} times: {last}")


async def _speak(client: httpx.AsyncClient, url: str, body: dict[str, Any], begun: float) -> Said:
    text, size, first = "", 0, 0.0
    async with client.stream("POST", f"{url}/chat/completions", json=body) as answer:
        if answer.status_code != 200:
            kind = _Refused if answer.status_code == 503 else RuntimeError
            raise kind(f"{answer.status_code}: {(await answer.aread())[:300]!r}")
        async for line in answer.aiter_lines():
            if not line.startswith("data: {"):
                continue
            event = json.loads(line[6:])
            if "error" in event:
                kind = _Refused if event["error"].get("code") == "replica_lost" else RuntimeError
                raise kind(f"the answer ended in {event['error']}")
            for choice in event["choices"]:
                piece = choice["delta"].get("audio") or {}
                text += piece.get("transcript") or ""
                sound = base64.b64decode(piece.get("data") or "")
                if sound and not size:
                    first = time.perf_counter() - begun
                size += len(sound)
    if not size:
        raise RuntimeError(f"nothing was said to {body['messages']!r:.200}")
    return Said(text, first, time.perf_counter() - begun, size / _BYTES_A_SECOND)
