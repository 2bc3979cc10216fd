"""Answers that are more than text: calls of tools, thoughts, refusals, logprobs, what ended them and what they took.
Judged by the SDK's own types, whole and streamed."""

import json
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from openai.types import Completion
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from tests.unit.gateway.test_answers import chat_answer, completion_answer, streamed, whole

from omnipipe.coordinator.flight import Piece
from omnipipe.gateway.openai.chat_shapes import ChatCompletionChunk as OurChunk
from omnipipe.gateway.openai.completion_answer import CompletionChunk
from omnipipe.wire.value import Value


def pieces(*values: Value, reason: str = "stop", **meta: Value) -> list[Piece]:
    usage = {"prompt_tokens": 9, "completion_tokens": 5, "cached_tokens": 4, "reasoning_tokens": 2}
    end = Piece("text", None, True, {"finish_reason": reason, "usage": usage, **meta})
    return [*(Piece("text", value, False, None) for value in values), end]


def likely(token: str, logprob: float = -0.5, *others: tuple[str, float], spelt: bytes | None = None) -> Value:
    def top(text: str, value: float) -> dict[str, Value]:
        return {"token": text, "bytes": list(spelt or text.encode()), "logprob": value, "id": 7}

    return {**top(token, logprob), "top": [top(*other) for other in others]}


CALLS: list[Value] = [
    "Let me ",
    {"content": "look."},
    {"tool_calls": [{"index": 0, "id": "call_a", "name": "weather", "arguments": ""}]},
    {"tool_calls": [{"index": 0, "arguments": '{"city": '}]},
    {"tool_calls": [{"index": 0, "arguments": '"Bern"}'}]},
    {"tool_calls": [{"index": 1, "id": "call_b", "name": "time", "arguments": "{}"}]},
]


def chunks_of(frames: Sequence[Any]) -> list[ChatCompletionChunk]:
    for frame in frames:
        msgspec.convert(frame, OurChunk, strict=True)
    return [ChatCompletionChunk.model_validate(frame, strict=True) for frame in frames]


def test_calls_of_tools_come_whole() -> None:
    body = whole(chat_answer(), pieces(*CALLS, reason="tool_calls"))
    answer = ChatCompletion.model_validate(body, strict=True)
    message = answer.choices[0].message
    assert (message.content, answer.choices[0].finish_reason) == ("Let me look.", "tool_calls")
    assert body["choices"][0]["message"]["tool_calls"] == [
        {"id": "call_a", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Bern"}'}},
        {"id": "call_b", "type": "function", "function": {"name": "time", "arguments": "{}"}},
    ]


def test_calls_without_a_word_have_no_content() -> None:
    message = whole(chat_answer(), pieces(*CALLS[2:], reason="tool_calls"))["choices"][0]["message"]
    assert message["content"] is None
    assert len(message["tool_calls"]) == 2


def test_calls_of_tools_are_streamed_name_first() -> None:
    frames = streamed(chat_answer(), pieces(*CALLS, reason="tool_calls"))
    chunks = chunks_of(frames)
    deltas = [delta for chunk in chunks for delta in chunk.choices[0].delta.tool_calls or []]
    assert [(delta.index, delta.id, delta.type) for delta in deltas] == [
        (0, "call_a", "function"),
        (0, None, None),
        (0, None, None),
        (1, "call_b", "function"),
    ]
    functions = [delta.function for delta in deltas if delta.function is not None]
    assert [function.name for function in functions] == ["weather", None, None, "time"]
    assert [function.arguments for function in functions] == ["", '{"city": ', '"Bern"}', "{}"]
    assert chunks[-1].choices[0].finish_reason == "tool_calls"


def test_deltas_of_calls_that_came_together_are_frames_of_their_own() -> None:
    """The SDKs take the first list of calls that they see as it is, and would keep two entries of one call apart."""
    together = {"tool_calls": [call for piece in CALLS[2:] for call in piece["tool_calls"]]}
    frames = streamed(chat_answer(), pieces(together))
    assert [len(frame["choices"][0]["delta"].get("tool_calls", [1])) for frame in frames] == [1] * 6


@pytest.mark.parametrize(
    "calls",
    [
        [{"index": 0, "arguments": "{}"}],
        [{"index": 1, "id": "a", "name": "f", "arguments": ""}],
        [{"index": 0, "id": "a", "arguments": ""}],
        [{"index": 0, "id": "a", "name": "f"}, {"index": 0, "id": "a", "arguments": "x"}],
        [{"index": 0, "id": 7, "name": "f"}],
        [{"id": "a", "name": "f"}],
        ["f"],
    ],
)
def test_calls_that_add_up_to_nothing_do_not_reach_a_client(calls: Value) -> None:
    with pytest.raises(TypeError):
        streamed(chat_answer(), pieces({"tool_calls": calls}))
    with pytest.raises(TypeError):
        whole(chat_answer(), pieces({"tool_calls": calls}))


def test_thoughts_come_apart_from_content() -> None:
    thinking = [{"reasoning": "Hm, "}, {"reasoning": "well.", "content": "Yes"}, "!"]
    message = whole(chat_answer(), pieces(*thinking))["choices"][0]["message"]
    assert (message["reasoning_content"], message["content"]) == ("Hm, well.", "Yes!")
    frames = streamed(chat_answer(), pieces(*thinking))
    chunks_of(frames)
    deltas = [frame["choices"][0]["delta"] for frame in frames][1:-1]
    assert deltas == [
        {"reasoning_content": "Hm, "},
        {"reasoning_content": "well."},
        {"content": "Yes"},
        {"content": "!"},
    ]


def test_a_refusal_is_in_its_own_field() -> None:
    refusing = pieces({"refusal": "I will "}, {"refusal": "not."}, reason="content_filter")
    answer = ChatCompletion.model_validate(whole(chat_answer(), refusing), strict=True)
    assert (answer.choices[0].message.refusal, answer.choices[0].message.content) == ("I will not.", None)
    assert answer.choices[0].finish_reason == "content_filter"
    chunks = chunks_of(streamed(chat_answer(), refusing))
    assert "".join(chunk.choices[0].delta.refusal or "" for chunk in chunks) == "I will not."


LIKELY = [
    {"content": "Hé", "logprobs": [likely("H", -0.1, ("H", -0.1), ("Y", -3.0)), likely("é", -0.2)]},
    {"content": "llo"},
    {"logprobs": [likely("llo", float("-inf"))]},
]


def test_logprobs_come_whole_and_streamed() -> None:
    answer = ChatCompletion.model_validate(whole(chat_answer(logprobs=True), pieces(*LIKELY)), strict=True)
    logprobs = answer.choices[0].logprobs
    assert logprobs is not None
    assert logprobs.content is not None
    assert [(token.token, token.logprob) for token in logprobs.content] == [("H", -0.1), ("é", -0.2), ("llo", -9999.0)]
    assert logprobs.content[1].bytes == list("é".encode())
    assert [(top.token, top.logprob) for top in logprobs.content[0].top_logprobs] == [("H", -0.1), ("Y", -3.0)]

    chunks = chunks_of(streamed(chat_answer(logprobs=True), pieces(*LIKELY)))
    said = [choice.logprobs for chunk in chunks for choice in chunk.choices]
    tokens = [token.token for each in said if each is not None for token in each.content or []]
    assert tokens == ["H", "é", "llo"]
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == "Héllo"


def test_logprobs_that_nobody_asked_for_are_not_shown() -> None:
    assert whole(chat_answer(), pieces(*LIKELY))["choices"][0]["logprobs"] is None
    assert all(frame["choices"][0]["logprobs"] is None for frame in streamed(chat_answer(), pieces(*LIKELY)))


def test_logprobs_of_nothing_are_an_empty_list() -> None:
    assert whole(chat_answer(logprobs=True), pieces())["choices"][0]["logprobs"] == {"content": [], "refusal": None}


@pytest.mark.parametrize("stop", ["END", 151645])
def test_what_stopped_it_is_told_when_it_was_the_clients(stop: Value) -> None:
    stopped = pieces("x", stop_reason=stop)
    assert whole(chat_answer(), stopped)["choices"][0]["stop_reason"] == stop
    assert streamed(chat_answer(), stopped)[-1]["choices"][0]["stop_reason"] == stop
    assert whole(completion_answer(), stopped)["choices"][0]["stop_reason"] == stop
    assert streamed(completion_answer(), stopped)[-1]["choices"][0]["stop_reason"] == stop
    assert "stop_reason" not in whole(chat_answer(), pieces("x"))["choices"][0]


DETAILS = {
    "prompt_tokens": 9,
    "completion_tokens": 5,
    "total_tokens": 14,
    "prompt_tokens_details": {"cached_tokens": 4},
    "completion_tokens_details": {"reasoning_tokens": 2},
}


def test_usage_has_its_details() -> None:
    body = whole(chat_answer(), pieces("x"))
    assert body["usage"] == DETAILS
    ChatCompletion.model_validate(body, strict=True)
    assert streamed(chat_answer(include_usage=True), pieces("x"))[-1]["usage"] == DETAILS
    three = whole(chat_answer(choices_per_prompt=3), pieces("x"), choices=3)["usage"]
    assert three["prompt_tokens_details"] == {"cached_tokens": 4}
    assert three["completion_tokens_details"] == {"reasoning_tokens": 6}


def test_a_completions_logprobs_have_the_legacy_shape() -> None:
    cut = [
        {"content": "a", "logprobs": [likely("a", -0.1, ("a", -0.1), ("b", -2.0))]},
        {"content": "é", "logprobs": [likely("\\xc3", -0.2, spelt=b"\xc3"), likely("\\xa9", -0.3, spelt=b"\xa9")]},
        {"content": "!", "logprobs": [likely("!", -0.4)]},
    ]
    expected = {
        "tokens": ["a", "\\xc3", "\\xa9", "!"],
        "token_logprobs": [-0.1, -0.2, -0.3, -0.4],
        "top_logprobs": [{"a": -0.1, "b": -2.0}, {"\\xc3": -0.2}, {"\\xa9": -0.3}, {"!": -0.4}],
        "text_offset": [4, 5, 5, 6],
    }
    body = whole(completion_answer(echoes=["Say "], logprobs=True), pieces(*cut))
    Completion.model_validate(body, strict=True)
    assert (body["choices"][0]["text"], body["choices"][0]["logprobs"]) == ("Say aé!", expected)

    frames = streamed(completion_answer(echoes=["Say "], logprobs=True), pieces(*cut))
    for frame in frames:
        msgspec.convert(frame, CompletionChunk, strict=True)
    shown = [frame["choices"][0]["logprobs"] for frame in frames if frame["choices"][0]["logprobs"]]
    assert {name: [item for each in shown for item in each[name]] for name in expected} == expected
    assert whole(completion_answer(), pieces(*cut))["choices"][0]["logprobs"] is None


def test_the_best_of_several_are_the_likeliest_a_token() -> None:
    answer = completion_answer(echoes=[""] * 6, choices_per_prompt=3, best=2)
    chances = [(-3.0, -0.1), (-1.0,), (-2.0, -2.5), (-0.5,), (-0.4,), (-9.0,)]
    writers = [answer.writer(index) for index in range(6)]
    for index, (writer, chance) in enumerate(zip(writers, chances, strict=True)):
        writer.keep(pieces({"content": f"{index}", "logprobs": [likely("x", value) for value in chance]}))
    body = json.loads(answer.whole(writers))
    assert [(choice["index"], choice["text"]) for choice in body["choices"]] == [(0, "1"), (1, "0"), (2, "4"), (3, "3")]
    assert all(choice["logprobs"] is None for choice in body["choices"])
    assert (body["usage"]["prompt_tokens"], body["usage"]["completion_tokens"]) == (18, 30)


@pytest.mark.parametrize("value", [{"reasoning": "x"}, {"tool_calls": CALLS[2]["tool_calls"]}, {"refusal": "x"}])
def test_a_completion_that_is_more_than_text_is_a_stages_mistake(value: Value) -> None:
    with pytest.raises(TypeError, match="a completion gave"):
        whole(completion_answer(), pieces(value))
    with pytest.raises(TypeError, match="a completion gave"):
        streamed(completion_answer(), pieces(value))


@pytest.mark.parametrize("value", [{"colour": "red"}, {"content": 7}, ["x"], {"logprobs": {}}, 0, False, b""])
def test_a_piece_of_the_wrong_shape_is_a_stages_mistake(value: Value) -> None:
    with pytest.raises(TypeError, match="a text output gave"):
        whole(chat_answer(), pieces(value))
    with pytest.raises(TypeError, match="a text output gave"):
        streamed(chat_answer(), pieces(value))


def test_an_empty_piece_says_nothing() -> None:
    nothings: list[Value] = ["", None, {}]
    for nothing in nothings:
        assert streamed(chat_answer(), pieces(nothing)) == streamed(chat_answer(), pieces())
