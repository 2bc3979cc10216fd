"""Tools, the choice among them, calls with their results in the conversation: passed on, or refused by their path."""

from typing import Any

import pytest
from tests.unit.gateway.pipelines import EverythingRequests, served
from tests.unit.gateway.test_orders import chat, refused

from omnipipe.families.requests import Message, Part, TextRequest, ToolCall
from omnipipe.gateway.served import Served

USER = {"role": "user", "content": "What is the weather?"}
TOOL = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "The weather somewhere.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
        "strict": True,
    },
}
OTHER = {"type": "function", "function": {"name": "time"}}
UNKNOWN = {"type": "function", "function": {"name": "f"}}
CUSTOM = {"type": "custom", "custom": {"name": "weather"}}


def call(id: str, name: str = "weather", arguments: str = '{"city": "Bern"}') -> dict[str, Any]:
    return {"id": id, "type": "function", "function": {"name": name, "arguments": arguments}}


def calling(*ids: str, **fields: Any) -> dict[str, Any]:
    return {"role": "assistant", "tool_calls": [call(id) for id in ids], **fields}


def result(id: str, content: Any = "sunny") -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": id, "content": content}


def everything() -> Served:
    return served(requests=EverythingRequests())


def heard(**fields: Any) -> TextRequest:
    family = EverythingRequests()
    chat(served(requests=family), **{"messages": [USER], **fields})
    (request,) = family.heard
    assert isinstance(request, TextRequest)
    return request


def test_tools_reach_the_family_as_the_client_wrote_them() -> None:
    assert heard(tools=[TOOL, OTHER]).options == {"tools": [TOOL, OTHER]}


@pytest.mark.parametrize(
    "choice",
    [
        "none",
        "auto",
        "required",
        {"type": "function", "function": {"name": "time"}},
        {"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [OTHER]}},
    ],
)
def test_a_choice_reaches_the_family(choice: Any) -> None:
    options = heard(tools=[TOOL, OTHER], tool_choice=choice, parallel_tool_calls=False).options
    assert (options["tool_choice"], options["parallel_tool_calls"]) == (choice, False)


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"tools": [OTHER, CUSTOM]}, "tools[1].type"),
        ({"tools": [OTHER, OTHER]}, "tools[1].function.name"),
        ({"tools": [{"type": "function", "function": {"name": "f", "parameters": {"a": 2**64}}}]},
         "tools[0].function.parameters.a"),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"tool_choice": {"type": "function", "function": {"name": "f"}}}, "tool_choice"),
        ({"tools": [OTHER], "tool_choice": {"type": "function", "function": {"name": "f"}}}, "tool_choice"),
        ({"tools": [OTHER], "tool_choice": {"type": "custom", "custom": {"name": "time"}}}, "tool_choice.type"),
        ({"tools": [OTHER],
          "tool_choice": {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [OTHER, UNKNOWN]}}},
         "tool_choice.allowed_tools.tools[1]"),
        ({"parallel_tool_calls": True}, "parallel_tool_calls"),
    ],
)  # fmt: skip
def test_tools_that_do_not_agree_are_refused_by_their_path(fields: dict[str, Any], param: str) -> None:
    assert refused(chat, everything(), **fields).param == param


def nested(levels: int) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(levels):
        schema = {"type": "object", "properties": {"a": schema}}
    return schema


def test_schemas_are_bounded_in_depth_and_size() -> None:
    def tool(schema: dict[str, Any]) -> list[dict[str, Any]]:
        return [{"type": "function", "function": {"name": "f", "parameters": schema}}]

    chat(everything(), tools=tool(nested(10)))
    assert "nested" in refused(chat, everything(), tools=tool(nested(40))).message
    assert "too large" in refused(chat, everything(), tools=tool({"enum": ["a"] * 30_000})).message


def test_calls_and_results_reach_the_family() -> None:
    messages = [USER, calling("a", "b"), result("b", [{"type": "text", "text": "rain"}]), result("a"), USER]
    user = Message("user", (Part("text", "What is the weather?"),))
    assert heard(messages=messages).messages == (
        user,
        Message(
            "assistant",
            (),
            tool_calls=(
                ToolCall("a", "weather", '{"city": "Bern"}'),
                ToolCall("b", "weather", '{"city": "Bern"}'),
            ),
        ),
        Message("tool", (Part("text", "rain"),), tool_call_id="b"),
        Message("tool", (Part("text", "sunny"),), tool_call_id="a"),
        user,
    )


def test_an_answer_of_ours_can_be_sent_back_whole() -> None:
    """What the SDKs make of an answer when it is put into the next request: nulls, and what their helpers parsed."""
    sent = calling(
        "a", content=None, refusal=None, audio=None, function_call=None, annotations=[], parsed=None,
        reasoning_content="Let me see.",
    )  # fmt: skip
    sent["tool_calls"][0]["function"]["parsed_arguments"] = {"city": "Bern"}
    _, assistant, _ = heard(messages=[USER, sent, result("a")]).messages
    assert (assistant.reasoning, assistant.parts, len(assistant.tool_calls)) == ("Let me see.", (), 1)


@pytest.mark.parametrize(
    ("messages", "param"),
    [
        ([result("a")], "messages[0].role"),
        ([USER, result("a")], "messages[1].role"),
        ([USER, calling("a"), USER, result("a")], "messages[1]"),
        ([USER, calling("a")], "messages[1]"),
        ([USER, calling("a", "b"), result("a"), USER], "messages[1]"),
        ([USER, calling("a"), result("x")], "messages[2].tool_call_id"),
        ([USER, calling("a", "b"), result("a"), result("a")], "messages[3].tool_call_id"),
        ([USER, calling("a", "a"), result("a")], "messages[1].tool_calls[1].id"),
        ([USER, {"role": "assistant", "tool_calls": [{"id": "a", "type": "custom",
                                                      "custom": {"name": "f", "input": ""}}]}],
         "messages[1].tool_calls[0].type"),
    ],
)  # fmt: skip
def test_calls_and_results_belong_together(messages: list[dict[str, Any]], param: str) -> None:
    assert refused(chat, everything(), messages=messages).param == param


def test_the_calls_that_were_not_answered_are_named() -> None:
    error = refused(chat, everything(), messages=[USER, calling("a", "b", "c"), result("b"), USER])
    assert error.message.endswith("did not have response messages: a, c")


@pytest.mark.parametrize(
    ("messages", "param"),
    [
        ([USER, calling("a"), result("a")], "messages[1].tool_calls"),
        ([result("a")], "messages[0].role"),
    ],
)
def test_a_model_without_tools_is_told_of_none(messages: list[dict[str, Any]], param: str) -> None:
    error = refused(chat, served(), messages=messages)
    assert (error.param, error.code) == (param, "unsupported_parameter")


def test_an_echo_does_not_take_thoughts_back() -> None:
    messages = [USER, {"role": "assistant", "content": "x", "reasoning_content": "y"}, USER]
    assert refused(chat, served(), messages=messages).param == "messages[1].reasoning_content"
