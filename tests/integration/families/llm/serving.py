"""A real stage process of a family, and a coordinator that asks it."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

from tests.integration.coordinator.fleet import Fleet

from omnipipe.coordinator.connection import connect
from omnipipe.coordinator.coordinator import Coordinator
from omnipipe.coordinator.flight import OmniRequest, Piece
from omnipipe.families.llm.requests import LlmRequests
from omnipipe.families.registry import family_names, find_family
from omnipipe.families.requests import Entry, Message, Part, TextRequest, ToolCall
from omnipipe.families.text_pieces import TextMeta, TextPiece, read_meta, read_piece
from omnipipe.spec.plan import Plan
from omnipipe.spec.reader import read_pipelines
from omnipipe.wire.value import Value

__all__ = [
    "Said",
    "answer",
    "ask_chat",
    "ask_completion",
    "assistant",
    "connected",
    "make_plan",
    "running",
    "said",
    "user",
]

START_S = 240.0
"""torch and transformers are imported, on a busy machine."""


def make_plan(folder: Path, model: Path, family: str = "llm", *, draft: str | None = None, **params: Any) -> Plan:
    more = "" if draft is None else f'\n      draft: {{source: "{draft}", tokens: 3}}'
    manifest = f"""
apiVersion: omnipipe.dev/v1alpha1
kind: OmniPipeline
metadata: {{name: tested}}
spec:
  model: {{family: {family}, source: "file://{model}"}}
  transport: {{deadAfterSeconds: 10}}  # a busy machine may keep a stage quiet for long
  stages:
    - name: {family}
      params: {params!r}{more}
"""
    (pipeline,) = read_pipelines(manifest, "tested.yaml", find_family, family_names())
    return pipeline.compile(lambda stage, replica: f"ipc://{folder}/{stage}-{replica}.sock")


@contextmanager
def running(
    folder: Path, model: Path, family: str = "llm", *, draft: str | None = None, **params: Any
) -> Iterator[Plan]:
    folder.chmod(0o700)
    plan = make_plan(folder, model, family, draft=draft, **params)
    with Fleet(plan, folder):
        yield plan


@asynccontextmanager
async def connected(plan: Plan) -> AsyncIterator[Coordinator]:
    async with connect(plan) as coordinator:
        async with asyncio.timeout(START_S):
            while not _all_up(coordinator):  # noqa: ASYNC110 - what is waited for has no event of its own
                await asyncio.sleep(0.01)
        yield coordinator


def _all_up(coordinator: Coordinator) -> bool:
    return all(stage.routable == stage.replicas for stage in coordinator.health().stages)


class Said:
    """An answer, its deltas joined."""

    def __init__(self, pieces: Sequence[Piece]) -> None:
        self.read: list[TextPiece] = [read_piece(piece.value) for piece in pieces]
        self.values: list[Value] = [piece.value for piece in pieces]
        assert pieces[-1].last
        self.meta: TextMeta = read_meta(pieces[-1].meta)
        self.content = "".join(piece.get("content", "") for piece in self.read)
        self.reasoning = "".join(piece.get("reasoning", "") for piece in self.read)
        self.calls: list[dict[str, str]] = []
        for piece in self.read:
            for call in piece.get("tool_calls", []):
                if call["index"] == len(self.calls):
                    self.calls.append({"id": call["id"], "name": call["name"], "arguments": ""})
                self.calls[call["index"]]["arguments"] += call.get("arguments", "")
        self.logprobs = [one for piece in self.read for one in piece.get("logprobs", [])]

    @property
    def reason(self) -> str:
        return self.meta["finish_reason"]


async def answer(coordinator: Coordinator, entry: Entry, outputs: frozenset[str] = frozenset({"text"})) -> list[Piece]:
    """Raises RequestError."""
    flight = await coordinator.submit(OmniRequest("request", entry.value, entry.inputs, outputs))
    pieces: list[Piece] = []
    try:
        async with asyncio.timeout(START_S):
            while some := await flight.next():
                pieces += some
    finally:
        flight.close()
    return pieces


async def ask_chat(coordinator: Coordinator, *messages: Message, **options: Any) -> Said:
    entry = LlmRequests().entry(TextRequest("chat", messages, frozenset({"text"}), None, options))
    return Said(await answer(coordinator, entry))


async def ask_completion(coordinator: Coordinator, prompt: str | Sequence[int], **options: Any) -> Said:
    messages = (user(prompt),) if isinstance(prompt, str) else ()
    tokens = None if isinstance(prompt, str) else tuple(prompt)
    entry = LlmRequests().entry(TextRequest("completion", messages, frozenset({"text"}), None, options, tokens))
    return Said(await answer(coordinator, entry))


def user(text: str) -> Message:
    return Message("user", (Part("text", text),))


def said(role: Any, text: str, **more: Any) -> Message:
    return Message(role, (Part("text", text),), **more)


def assistant(text: str = "", *calls: Mapping[str, str]) -> Message:
    made = tuple(ToolCall(call["id"], call["name"], call["arguments"]) for call in calls)
    return Message("assistant", (Part("text", text),) if text else (), tool_calls=made)
