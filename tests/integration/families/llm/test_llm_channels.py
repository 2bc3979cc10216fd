"""A model that answers in channels, out of a real stage: reasoning, answers and calls, and what they are held to."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from tests.integration.families.llm.models import save_model, tokenizer_of
from tests.integration.families.llm.serving import ask_chat, assistant, connected, running, said, user

from omnipipe.families.llm.rendering import ChatTemplate
from omnipipe.spec.plan import Plan

pytestmark = pytest.mark.timeout(400)  # torch and transformers are imported by a process of its own

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"city": {"enum": ["Paris", "Rome"]}},
    "required": ["city"],
    "additionalProperties": False,
}
TOOLS = [{"type": "function", "function": {"name": "get_weather", "parameters": SCHEMA, "strict": True}}]
SHAPE = {"type": "json_schema", "json_schema": {"name": "place", "schema": SCHEMA}}
MARKS = ("<|", "|>")


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plan]:
    folder: Path = tmp_path_factory.mktemp("harmony")
    with running(folder, save_model(folder / "model", "harmony")) as plan:
        yield plan


def first(text: str) -> dict[str, float]:
    """Makes the model begin with what a channel begins with, if it may."""
    return {str(token): 100 for token in tokenizer_of("harmony")(text).input_ids}


async def test_an_answer_of_a_shape_is_the_final_channel(plan: Plan) -> None:
    async with connected(plan) as coordinator:
        answers = await asyncio.gather(
            *(ask_chat(coordinator, user("x"), response_format=SHAPE, seed=seed, max_tokens=60) for seed in range(12))
        )
    ended = [one for one in answers if one.reason == "stop"]
    assert ended
    for one in ended:
        assert not any(mark in one.content + one.reasoning for mark in MARKS)
        assert jsonschema_rs.is_valid(SCHEMA, json.loads(one.content.rpartition("\n\n")[2]))
    for one in answers:
        assert bool(one.reasoning) <= bool(one.meta["usage"]["reasoning_tokens"])


async def test_a_forced_call_is_one_of_the_commentary_channel(plan: Plan) -> None:
    async with connected(plan) as coordinator:
        answers = await asyncio.gather(
            *(
                ask_chat(coordinator, user("x"), tools=TOOLS, tool_choice="required", seed=seed, max_tokens=80)
                for seed in range(12)
            )
        )
    called = [one for one in answers if one.reason == "tool_calls"]
    assert called
    for one in called:
        (call,) = one.calls
        assert call["name"] == "get_weather"
        assert jsonschema_rs.is_valid(SCHEMA, json.loads(call["arguments"]))


async def test_logprobs_are_of_the_answer_alone(plan: Plan) -> None:
    """Not of the marks and of what comes before it."""
    async with connected(plan) as coordinator:
        one = await ask_chat(
            coordinator, user("x"), response_format=SHAPE, logprobs=True, logit_bias=first("final"), max_tokens=60
        )
    assert one.reason == "stop"
    told = b"".join(bytes(found["bytes"] or []) for found in one.logprobs).decode()
    assert told == one.content


def test_calls_and_thoughts_go_back_in_the_words_of_the_template() -> None:
    template = ChatTemplate(tokenizer_of("harmony"), tokenizer_of("harmony").chat_template)
    call = {"id": "c", "type": "function", "function": {"name": "get_weather", "arguments": {"city": "Rome"}}}
    text = template.render(
        [
            {"role": "user", "content": "x"},
            {"role": "assistant", "content": "", "reasoning_content": "Hm.", "tool_calls": [call]},
            {"role": "tool", "content": "sunny", "tool_call_id": "c"},
        ]
    )
    assert "<|channel|>analysis<|message|>Hm.<|end|>" in text
    assert '{"city": "Rome"}<|call|>' in text
    joined = "{{ '<｜tool▁sep｜>' + messages[0]['tool_calls'][0]['function']['arguments'] + '<end>' }}"
    written = ChatTemplate(tokenizer_of("plain"), joined).render(
        [{"role": "assistant", "content": "", "tool_calls": [call]}]
    )
    assert written == '<｜tool▁sep｜>{"city": "Rome"}<end>'


async def test_results_go_back_in(plan: Plan) -> None:
    call = {"id": "c", "name": "get_weather", "arguments": '{"city": "Rome"}'}
    async with connected(plan) as coordinator:
        one = await ask_chat(
            coordinator, user("x"), assistant("", call), said("tool", "sunny", tool_call_id="c"), max_tokens=4
        )
    assert one.meta["usage"]["completion_tokens"] <= 4
