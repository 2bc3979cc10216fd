"""One request of the soak over real HTTP, and the verdict on what came back."""

import asyncio
import base64
import json
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

import httpx
from bench.soak_cases import Case, Plan

__all__ = ["Answer", "Verdict", "ask", "judge"]

LIMIT_S = 120.0
"""A request that takes longer hangs."""


class Verdict(Enum):
    RIGHT = "right answer"
    PLANNED = "the error that was planned"
    LEFT = "its client left"
    UNSAVED = "a clear error because a process died"
    WRONG = "wrong"


@dataclass
class Answer:
    """What a client saw of one request."""

    status: int = 0
    text: str = ""
    sound: bytes = b""
    errors: list[dict[str, Any]] = field(default_factory=list)
    finishes: list[str] = field(default_factory=list)
    dones: int = 0
    after_the_end: int = 0
    """Events that came when there should have been no more."""
    left: bool = False
    broken: str = ""
    """How the connection ended, when it did not end well."""


async def ask(client: httpx.AsyncClient, case: Case, model: str) -> Answer:
    answer = Answer()
    patience = case.leave_s if case.plan is Plan.LEAVES else LIMIT_S
    try:
        async with asyncio.timeout(patience):
            await _talk(client, case, model, answer)
    except TimeoutError:
        answer.left = case.plan is Plan.LEAVES
        answer.broken = "" if answer.left else f"no end within {LIMIT_S:.0f} s"
    except (httpx.HTTPError, ValueError, KeyError, IndexError, TypeError) as error:
        answer.broken = f"{type(error).__name__}: {error}"
    return answer


def judge(case: Case, answer: Answer) -> tuple[Verdict, str]:
    """The verdict, and for a wrong answer what is wrong with it."""
    if answer.left:
        return Verdict.LEFT, ""
    if answer.broken:
        return Verdict.WRONG, answer.broken
    if answer.after_the_end:
        return Verdict.WRONG, f"{answer.after_the_end} events after the end"
    if answer.errors:
        return _judge_error(case, answer)
    ends = (answer.status, answer.finishes, answer.dones)
    if ends != (200, ["stop"], int(case.stream)):
        return Verdict.WRONG, f"status {ends[0]}, finish reasons {ends[1]}, [DONE] {ends[2]} times"
    if answer.text != case.text:
        return Verdict.WRONG, f"{answer.text!r} for {case.text!r}"
    if case.audio and answer.sound != case.sound:
        return Verdict.WRONG, f"{len(answer.sound)} bytes of sound for {len(case.sound)}, or others"
    if case.plan not in (Plan.PLAIN, Plan.LEAVES):
        return Verdict.WRONG, f"an answer where a stage should have failed: {case.stage_params}"
    return Verdict.RIGHT, ""


def _judge_error(case: Case, answer: Answer) -> tuple[Verdict, str]:
    error = answer.errors[0]
    if answer.dones:  # the sound was lost, and all of the text is there
        if not case.audio or answer.finishes != ["stop"] or answer.text != case.text:
            return Verdict.WRONG, f"[DONE] after an error, and not all of the rest: {answer}"
    elif answer.finishes:
        return Verdict.WRONG, f"an error and another end: {answer}"
    if set(error) != {"message", "type", "param", "code"} or not error["message"]:
        return Verdict.WRONG, f"not the error envelope: {error}"
    if answer.text and not case.text.startswith(answer.text):
        return Verdict.WRONG, f"{answer.text!r} before the error, of {case.text!r}"
    planned = {Plan.REFUSED: (422, "unprocessable"), Plan.FAILS: (500, "internal_error")}.get(case.plan)
    if planned is not None and error["code"] == planned[1] and answer.status in (200, planned[0]):
        return Verdict.PLANNED, ""
    if error["code"] in ("unavailable", "replica_lost") and answer.status in (200, 503):
        return (Verdict.PLANNED if case.plan is Plan.CRASHES else Verdict.UNSAVED), ""
    return Verdict.WRONG, f"status {answer.status}, {error}"


async def _talk(client: httpx.AsyncClient, case: Case, model: str, answer: Answer) -> None:
    async with client.stream("POST", "chat/completions", json=case.body(model)) as response:
        answer.status = response.status_code
        if not response.headers["content-type"].startswith("text/event-stream"):
            _read_whole(json.loads(await response.aread()), answer)
            return
        pieces = 0
        async for line in response.aiter_lines():
            if not line.startswith("data: "):
                continue
            if answer.dones or (answer.errors and line != "data: [DONE]"):
                answer.after_the_end += 1
            elif line == "data: [DONE]":
                answer.dones += 1
            else:
                _read_event(json.loads(line[6:]), answer)
            pieces += 1
            if case.plan is Plan.LEAVES and pieces >= case.leave_after > 0:
                answer.left = True
                return


def _read_whole(body: dict[str, Any], answer: Answer) -> None:
    if "error" in body:
        answer.errors.append(body["error"])
        return
    (choice,) = body["choices"]
    message = choice["message"]
    answer.finishes.append(choice["finish_reason"])
    answer.text = message["content"] or ""
    if message.get("audio"):
        answer.text = message["audio"]["transcript"]
        answer.sound = base64.b64decode(message["audio"]["data"])


def _read_event(event: dict[str, Any], answer: Answer) -> None:
    if "error" in event:
        answer.errors.append(event["error"])
        return
    for choice in event["choices"]:
        if choice["finish_reason"]:
            answer.finishes.append(choice["finish_reason"])
        delta = choice["delta"]
        answer.text += delta.get("content") or ""
        audio = delta.get("audio") or {}
        answer.text += audio.get("transcript", "")
        answer.sound += base64.b64decode(audio.get("data", ""))
