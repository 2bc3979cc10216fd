"""The official SDK's own types, strictly: no number for a text, nothing required left out, no value that is not listed,
and no field that OpenAI does not have but those that docs/api.md says we add."""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from openai.pagination import SyncPage
from openai.types import Completion, CreateEmbeddingResponse, Model, ModelDeleted
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from pydantic import BaseModel, TypeAdapter
from tests.integration.gateway.rich import OUTPUTS, RichRequests, rich_script
from tests.integration.gateway.serving import DEADLINE_S, fake_served, serving
from tests.integration.gateway.spoken import SpokenRequests, spoken_script

OURS = {"reasoning_content", "stop_reason", "cached_tokens", "reasoning_tokens"}
MESSAGES = [{"role": "user", "content": "hello"}]
TOOLS = [{"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}}}]
SCHEMA = {"type": "json_schema", "json_schema": {"name": "person", "schema": {"type": "object"}}}
CHATS: dict[str, dict[str, Any]] = {
    "plain": {},
    "two choices": {"n": 2},
    "logprobs": {"logprobs": True, "top_logprobs": 2},
    "tools": {"tools": TOOLS},
    "one tool": {"tools": TOOLS, "parallel_tool_calls": False},
    "schema": {"response_format": SCHEMA},
    "thoughts": {"reasoning_effort": "low"},
}
COMPLETIONS: dict[str, dict[str, Any]] = {
    "plain": {},
    "several": {"prompt": ["a", "b"]},
    "logprobs": {"logprobs": 1},
    "two choices": {"n": 2},
}


def extras(found: object) -> Iterator[str]:
    """Fields that the SDK's types do not have, at any depth."""
    if isinstance(found, BaseModel):
        yield from found.model_extra or ()
        for name in type(found).model_fields:
            yield from extras(getattr(found, name))
    elif isinstance(found, list):
        for item in found:
            yield from extras(item)


def judge(kind: Any, document: str | bytes) -> Any:
    found = TypeAdapter(kind).validate_json(document, strict=True)
    assert {*extras(found)} <= OURS
    return found


def events(text: str) -> list[str]:
    *frames, done, rest = text.split("\n\n")
    assert (done, rest) == ("data: [DONE]", "")
    return [frame.removeprefix("data: ") for frame in frames]


async def ask(path: str, body: dict[str, Any] | None = None, method: str = "POST", spoken: bool = False) -> str:
    rich, _ = fake_served(rich_script, "rich", outputs=OUTPUTS, requests=RichRequests())
    sung, _ = fake_served(spoken_script, "sung", requests=SpokenRequests())
    async with serving([rich, sung]) as running, httpx.AsyncClient(base_url=running.url, timeout=DEADLINE_S) as client:
        sent = None if body is None else {"model": "sung" if spoken else "rich", **body}
        answer = await client.request(method, path, json=sent)
    assert answer.status_code == 200, answer.text
    return answer.text


@pytest.mark.parametrize("fields", CHATS.values(), ids=CHATS)
async def test_chats(fields: dict[str, Any]) -> None:
    body = {"messages": MESSAGES, **fields}
    whole = judge(ChatCompletion, await ask("/v1/chat/completions", body))
    streamed = {**body, "stream": True, "stream_options": {"include_usage": True}}
    chunks = [judge(ChatCompletionChunk, one) for one in events(await ask("/v1/chat/completions", streamed))]
    assert {chunk.id for chunk in chunks} == {chunks[0].id}
    assert (chunks[-1].choices, chunks[-1].usage.total_tokens) == ([], whole.usage.total_tokens)


@pytest.mark.parametrize("fields", COMPLETIONS.values(), ids=COMPLETIONS)
async def test_completions(fields: dict[str, Any]) -> None:
    judge(Completion, await ask("/v1/completions", {"prompt": "a", **fields}))
    for one in events(await ask("/v1/completions", {"prompt": "a", **fields, "stream": True})):
        chunk = json.loads(one)
        for choice in chunk["choices"]:  # OpenAI's own chunks have null here until the last, which its type forgets
            choice["finish_reason"] = choice["finish_reason"] or "stop"
        judge(Completion, json.dumps(chunk))


async def test_spoken_answers() -> None:
    spoken = {"messages": MESSAGES, "modalities": ["text", "audio"], "audio": {"voice": "alloy", "format": "wav"}}
    found = judge(ChatCompletion, await ask("/v1/chat/completions", spoken, spoken=True))
    assert found.choices[0].message.audio.id


async def test_vectors_and_models() -> None:
    judge(CreateEmbeddingResponse, await ask("/v1/embeddings", {"input": ["a", "b"]}))
    page = judge(SyncPage[Model], await ask("/v1/models", method="GET"))
    assert [model.id for model in page.data] == ["rich", "sung"]
    judge(Model, await ask("/v1/models/rich", method="GET"))
    judge(ModelDeleted, await ask("/v1/models/rich", method="DELETE"))
