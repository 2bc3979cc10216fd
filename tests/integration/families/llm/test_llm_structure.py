"""Answers that are held to a shape, tool calls and reasoning, out of real stages of models of all manners."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from tests.integration.families.llm.models import save_model, tokenizer_of
from tests.integration.families.llm.serving import Said, ask_chat, assistant, connected, running, said, user

from omnipipe.errors import RequestError
from omnipipe.spec.plan import Plan

pytestmark = pytest.mark.timeout(400)  # torch and transformers are imported by a process of its own

WEATHER = {
    "type": "object",
    "properties": {
        "city": {"enum": ["Paris", "Rome"]},
        "days": {"type": "array", "items": {"type": "integer", "minimum": 0, "maximum": 9}, "maxItems": 3},
    },
    "required": ["city", "days"],
    "additionalProperties": False,
}
TOOLS = [
    {"type": "function", "function": {"name": "get_weather", "parameters": WEATHER, "strict": True}},
    {"type": "function", "function": {"name": "get_time", "description": "What time it is."}},
]
SCHEMAS: list[dict[str, Any]] = [
    WEATHER,
    {"type": "object", "properties": {"ok": {"type": "boolean"}}, "required": ["ok"], "additionalProperties": False},
    {
        "$defs": {"leaf": {"type": "object", "properties": {"n": {"type": "null"}}, "additionalProperties": False}},
        "type": "object",
        "properties": {"leaf": {"$ref": "#/$defs/leaf"}, "kind": {"anyOf": [{"const": "a"}, {"type": "boolean"}]}},
        "required": ["leaf", "kind"],
        "additionalProperties": False,
    },
    {"type": "array", "items": {"enum": [1, "two", None]}, "minItems": 1, "maxItems": 4},
]


@pytest.fixture(scope="module", params=["thinking", "llama3", "mistral"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def plan(kind: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plan]:
    folder: Path = tmp_path_factory.mktemp(kind)
    with running(folder, save_model(folder / "model", kind)) as plan:
        yield plan


def plainly(kind: str) -> dict[str, Any]:
    """Without reasoning, which knows no end in a random model."""
    return {"chat_template_kwargs": {"enable_thinking": False}} if kind == "thinking" else {}


def fits(schema: dict[str, Any], text: str) -> bool:
    return jsonschema_rs.is_valid(schema, json.loads(text))


def valid_calls(found: Said) -> bool:
    """All but perhaps the last, which the end of the tokens may have cut."""
    whole = found.calls[:-1] if found.reason == "length" else found.calls
    schemas = {"get_weather": WEATHER, "get_time": {"type": "object", "maxProperties": 0}}
    return all(fits(schemas[call["name"]], call["arguments"]) for call in whole)


async def test_json_always_validates(plan: Plan, kind: str) -> None:
    asked = [(schema, most) for schema in SCHEMAS for most in (150, 150, 150, 8)]
    async with connected(plan) as coordinator:
        answers = await asyncio.gather(
            *(
                ask_chat(
                    coordinator,
                    user("x"),
                    max_tokens=most,
                    response_format={"type": "json_schema", "json_schema": {"name": "s", "schema": schema}},
                    **plainly(kind),
                )
                for schema, most in asked
            )
        )
    assert {found.reason for found in answers} <= {"stop", "length"}
    for (schema, _), found in zip(asked, answers, strict=True):
        assert found.reason == "length" or fits(schema, found.content)
    assert any(found.reason == "stop" for found in answers)


async def test_json_objects_and_choices_and_patterns(plan: Plan, kind: str) -> None:
    async with connected(plan) as coordinator:
        loose, choice, pattern, schema = await asyncio.gather(
            ask_chat(coordinator, user("x"), response_format={"type": "json_object"}, max_tokens=300, **plainly(kind)),
            ask_chat(coordinator, user("x"), guided_choice=["red", "a/b\n"], **plainly(kind)),
            ask_chat(coordinator, user("x"), guided_regex="[0-9]{3}/[ab]", **plainly(kind)),
            ask_chat(coordinator, user("x"), guided_json=json.dumps(SCHEMAS[1]), **plainly(kind)),
        )
    assert loose.reason == "length" or isinstance(json.loads(loose.content), dict)
    assert choice.content in ("red", "a/b\n")
    assert pattern.content[3] == "/"
    assert fits(SCHEMAS[1], schema.content)


async def test_forced_calls_always_validate(plan: Plan, kind: str) -> None:
    named = {"type": "function", "function": {"name": "get_weather"}}
    choices: list[Any] = ["required", "required", "required", named, named]
    async with connected(plan) as coordinator:
        answers = await asyncio.gather(
            *(
                ask_chat(
                    coordinator, user("x"), tools=TOOLS, tool_choice=choice, max_tokens=250, stop="a", **plainly(kind)
                )
                for choice in choices
            )
        )
    for choice, found in zip(choices, answers, strict=True):
        assert found.content == ""
        assert found.calls
        assert valid_calls(found)
        assert found.reason in ("tool_calls", "length")
        assert len({call["id"] for call in found.calls}) == len(found.calls)
        if choice == named:
            assert [call["name"] for call in found.calls] == ["get_weather"]


async def test_a_call_cut_by_max_tokens_says_so(plan: Plan, kind: str) -> None:
    async with connected(plan) as coordinator:
        found = await ask_chat(
            coordinator, user("x"), tools=TOOLS[:1], tool_choice="required", max_tokens=24, min_tokens=24,
            **plainly(kind),
        )  # fmt: skip
    assert found.reason == "length"
    assert found.content == ""


async def test_one_call_at_a_time(plan: Plan, kind: str) -> None:
    async with connected(plan) as coordinator:
        answers = await asyncio.gather(
            *(
                ask_chat(
                    coordinator, user("x"), tools=TOOLS, tool_choice="required", parallel_tool_calls=False,
                    max_tokens=250, **plainly(kind),
                )
                for _ in range(4)
            )
        )  # fmt: skip
    assert [len(found.calls) for found in answers] == [1] * 4
    assert all(valid_calls(found) for found in answers)
    assert {found.reason for found in answers} == {"tool_calls"}


async def test_strict_tools_validate_when_the_model_may_choose(plan: Plan, kind: str) -> None:
    """It is made to like calling: the first token of a call is the likeliest by far, wherever one may begin."""
    first = {"thinking": "<tool_call>", "llama3": '{"', "mistral": "[TOOL_CALLS]"}[kind]
    token = tokenizer_of(kind)(first, add_special_tokens=False).input_ids[0]
    async with connected(plan) as coordinator:
        called, free = await asyncio.gather(
            ask_chat(
                coordinator, user("x"), tools=TOOLS, logit_bias={str(token): 100}, parallel_tool_calls=False,
                max_tokens=250, **plainly(kind),
            ),
            ask_chat(
                coordinator, user("x"), tools=TOOLS, logit_bias={str(token): -100}, max_tokens=20, **plainly(kind)
            ),
        )  # fmt: skip
    assert called.reason == "tool_calls"
    assert len(called.calls) == 1
    assert valid_calls(called)
    assert not free.calls
    assert free.reason in ("stop", "length")


async def test_results_go_back_in(plan: Plan, kind: str) -> None:
    async with connected(plan) as coordinator:
        first = await ask_chat(
            coordinator, user("x"), tools=TOOLS, tool_choice="required", parallel_tool_calls=False, **plainly(kind)
        )
        (call,) = first.calls
        result = said("tool", "sunny", tool_call_id=call["id"])
        after = await ask_chat(
            coordinator, user("x"), assistant("", call), result, tools=TOOLS, tool_choice="none", max_tokens=5,
            **plainly(kind),
        )  # fmt: skip
    assert after.meta["usage"]["prompt_tokens"] > 10
    assert not after.calls


async def test_reasoning_is_told_apart(plan: Plan, kind: str) -> None:
    async with connected(plan) as coordinator:
        if kind != "thinking":
            found = await ask_chat(coordinator, user("x"), guided_choice=["<think>a</think>b"])
            assert (found.reasoning, found.content) == ("", "<think>a</think>b")
            assert "reasoning_tokens" not in found.meta["usage"]
            return
        close = tokenizer_of(kind)("</think>").input_ids[0]
        found = await ask_chat(
            coordinator,
            user("x"),
            chat_template_kwargs={"open_tag": True},
            guided_choice=["yes"],
            logit_bias={str(close): 6},
            seed=3,
            logprobs=True,
        )
        lengthy = await ask_chat(
            coordinator, user("x"), chat_template_kwargs={"open_tag": True}, logit_bias={str(close): -100}, max_tokens=9
        )
        off = await ask_chat(coordinator, user("x"), reasoning_effort="none", guided_choice=["yes"])
        with pytest.raises(RequestError, match="turned off"):
            await ask_chat(coordinator, user("x"), reasoning_effort="high")
    assert found.content == off.content == "yes"
    assert "think>" not in found.reasoning
    assert found.meta["usage"]["reasoning_tokens"] > 0
    assert b"".join(bytes(one["bytes"] or []) for one in found.logprobs).strip() == b"yes"
    assert lengthy.content == ""
    assert lengthy.reason == "length"
    assert off.meta["usage"]["reasoning_tokens"] == 0
