"""What the llm family makes of a client's request before anything runs, and what it refuses there."""

from typing import Any

import msgspec
import pytest

from omnipipe.errors import ErrorKind, RequestError
from omnipipe.families.llm.asked import Chat, Completion, Detokenize, Tokenize, read_asked
from omnipipe.families.llm.requests import LlmRequests
from omnipipe.families.requests import (
    DetokenizeRequest,
    Message,
    Part,
    Requests,
    TextRequest,
    TokenizeRequest,
    TokenizeRequests,
    ToolCall,
)

TEXT = frozenset({"text"})
ADD = {"type": "function", "function": {"name": "add", "parameters": {"type": "object"}, "strict": True}}
TIME = {"type": "function", "function": {"name": "time"}}


def said(role: Any, *parts: Part | str, **more: Any) -> Message:
    return Message(role, tuple(Part("text", part) if isinstance(part, str) else part for part in parts), **more)


def chat(*messages: Message, **options: Any) -> Chat:
    request = TextRequest("chat", messages or (said("user", "hi"),), TEXT, None, options)
    asked = read_asked(LlmRequests().entry(request).value)
    assert isinstance(asked, Chat)
    return asked


def refused(*messages: Message, **options: Any) -> RequestError:
    with pytest.raises(RequestError) as caught:
        chat(*messages, **options)
    assert caught.value.kind in (ErrorKind.INVALID, ErrorKind.UNPROCESSABLE)
    return caught.value


def test_it_is_what_the_gateway_takes() -> None:
    requests: Requests = LlmRequests()
    tokens: TokenizeRequests = LlmRequests()

    assert "tokenize" in requests.capabilities
    assert tokens.entry_detokenize(DetokenizeRequest((1,))).inputs == TEXT


def test_what_goes_to_the_stage_is_plain_data() -> None:
    value = (
        LlmRequests().entry(TextRequest("chat", (said("user", "hi"),), TEXT, None, {"tools": [ADD], "seed": 3})).value
    )

    assert msgspec.json.decode(msgspec.json.encode(value)) == value
    assert value["kind"] == "chat"


def test_messages_become_those_of_a_template() -> None:
    call = ToolCall("id1", "add", '{"a": 1}')
    asked = chat(
        said("developer", "Be ", "brief."),
        Message("assistant", (), tool_calls=(call,), reasoning="Hm."),
        said("tool", "2", tool_call_id="id1"),
        said("user", "and?", name="ann"),
    )

    assert asked.messages == [
        {"role": "developer", "content": "Be brief."},
        {
            "role": "assistant",
            "content": "",
            "reasoning_content": "Hm.",
            "tool_calls": [{"id": "id1", "type": "function", "function": {"name": "add", "arguments": {"a": 1}}}],
        },
        {"role": "tool", "content": "2", "tool_call_id": "id1"},
        {"role": "user", "content": "and?", "name": "ann"},
    ]


def test_a_prompt_may_be_text_or_tokens() -> None:
    for messages, tokens, prompt in (((said("user", "once"),), None, "once"), ((), (5, 6), [5, 6])):
        asked = read_asked(LlmRequests().entry(TextRequest("completion", messages, TEXT, None, {}, tokens)).value)
        assert isinstance(asked, Completion)
        assert asked.prompt == prompt


def test_tokenizing_and_back() -> None:
    requests = LlmRequests()
    text = read_asked(requests.entry_tokenize(TokenizeRequest("hi", options={"return_token_strs": True})).value)
    turn = read_asked(requests.entry_tokenize(TokenizeRequest(messages=(said("user", "hi"),))).value)

    assert text == Tokenize("hi", return_token_strs=True)
    assert turn == Tokenize(messages=[{"role": "user", "content": "hi"}])
    assert read_asked(requests.entry_detokenize(DetokenizeRequest((1, 2))).value) == Detokenize([1, 2])
    for wrong in (
        TokenizeRequest(),
        TokenizeRequest("a", (said("user", "b"),)),
        TokenizeRequest("a", options={"x": 1}),
    ):
        with pytest.raises(RequestError):
            requests.entry_tokenize(wrong)


@pytest.mark.parametrize(
    ("options", "param"),
    [
        ({"top_logprobs": 2}, "top_logprobs"),
        ({"tool_choice": "auto"}, "tool_choice"),
        ({"parallel_tool_calls": True}, "parallel_tool_calls"),
        ({"tools": [ADD, ADD]}, "tools"),
        ({"tools": [ADD], "tool_choice": {"type": "function", "function": {"name": "sub"}}}, "tool_choice"),
        ({"tools": [{"type": "custom", "custom": {"name": "x"}}]}, "tools[0].type"),
        ({"guided_regex": "a", "guided_choice": ["b"]}, "guided_regex"),
        ({"guided_regex": "a", "response_format": {"type": "json_object"}}, "guided_regex"),
        ({"guided_choice": []}, "guided_choice"),
        ({"tools": [ADD], "tool_choice": "required", "guided_regex": "a"}, "guided_regex"),
        ({"response_format": {"type": "json_schema"}}, "response_format.json_schema"),
        ({"min_tokens": 5, "max_tokens": 4}, "min_tokens"),
        ({"min_tokens": -1}, "min_tokens"),
        ({"logit_bias": {"x": 1}}, "logit_bias"),
        ({"temperature": "hot"}, "temperature"),
    ],
)
def test_what_does_not_go_together_is_refused_by_name(options: dict[str, Any], param: str) -> None:
    error = refused(**options)

    assert error.param == param
    assert param.partition(".")[0].partition("[")[0] in error.message


@pytest.mark.parametrize("arguments", ["{", "[1]", '"x"'])
def test_arguments_of_earlier_calls_are_json_objects(arguments: str) -> None:
    error = refused(said("user", "x"), Message("assistant", (), tool_calls=(ToolCall("i", "add", arguments),)))

    assert error.param == "messages[1].tool_calls[0].function.arguments"


def test_it_takes_text_alone() -> None:
    assert refused(said("user", "see", Part("image", url="https://x/y.png"))).param == "messages[0].content[1]"


@pytest.mark.parametrize(
    ("choice", "told", "must", "chosen"),
    [
        (None, ["add", "time"], False, None),
        ("none", [], False, None),
        ("required", ["add", "time"], True, None),
        ({"type": "function", "function": {"name": "time"}}, ["add", "time"], True, "time"),
        (
            {"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [TIME]}},
            ["time"],
            True,
            None,
        ),
    ],
)
def test_what_tool_choice_means(choice: Any, told: list[str], must: bool, chosen: str | None) -> None:
    options = chat(tools=[ADD, TIME], **({} if choice is None else {"tool_choice": choice})).options

    assert [tool.function.name for tool in options.usable_tools] == told
    assert options.must_call is must
    assert options.chosen_tool == chosen


def test_the_stage_takes_no_options_with_a_request() -> None:
    LlmRequests().check_stage_params("llm", {})
    for stage, params in (("llm", {"tool_parser": "none"}), ("other", {})):
        with pytest.raises(RequestError) as caught:
            LlmRequests().check_stage_params(stage, params)
        assert caught.value.param is not None
        assert caught.value.param.startswith(f"stage_params.{stage}")


def test_a_stage_refuses_what_it_cannot_read() -> None:
    for value in (None, {"kind": "dance"}, {"kind": "chat"}, {"kind": "completion", "prompt": 3, "options": {}}):
        with pytest.raises(RequestError):
            read_asked(value)
