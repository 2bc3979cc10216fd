"""Reasoning, content and calls are told apart alike, however the text comes."""

import itertools
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omnipipe.families.llm.reasoning import Reasoning, Thinking, thinking_after
from omnipipe.families.llm.speech import Speech
from omnipipe.families.llm.tools.harmony import Harmony
from omnipipe.families.llm.tools.hermes import Hermes

CALL = '<tool_call>\n{"name": "add", "arguments": {"a": 1}}\n</tool_call>'


def spoken(
    thinking: Thinking, chunks: Sequence[str], *, tools: bool = True
) -> tuple[str, str, list[tuple[int, str, str]]]:
    speech = Speech(Reasoning(thinking), Hermes().parser(()) if tools else None, lambda name, index: "id")
    reasoning = content = ""
    calls: list[tuple[int, str, str]] = []
    for piece in [*map(speech.push, chunks), speech.finish()]:
        reasoning += piece.get("reasoning", "")
        content += piece.get("content", "")
        for call in piece.get("tool_calls", []):
            if "id" in call:
                calls.append((call["index"], call["name"], ""))
            index, name, arguments = calls[call["index"]]
            calls[call["index"]] = (index, name, arguments + call.get("arguments", ""))
    return reasoning, content, calls


@pytest.mark.parametrize(
    ("thinking", "text", "reasoning", "content"),
    [
        (Thinking.MAYBE, "<think>\nHm. \n</think>\n\nYes.", "Hm.", "Yes."),
        (Thinking.MAYBE, "Yes.", "", "Yes."),
        (Thinking.MAYBE, "  <thin", "", "  <thin"),
        (Thinking.MAYBE, "<think>\n\n</think>\n\nYes.", "", "Yes."),
        (Thinking.OPENED, "\nHm. a < b</think>Yes. </think>", "Hm. a < b", "Yes. </think>"),
        (Thinking.OPENED, "never done ", "never done ", ""),
        (Thinking.NEVER, "<think>Hm</think>", "", "<think>Hm</think>"),
    ],
)
def test_what_is_told_apart(thinking: Thinking, text: str, reasoning: str, content: str) -> None:
    assert spoken(thinking, [text])[:2] == (reasoning, content)
    assert spoken(thinking, list(text))[:2] == (reasoning, content)
    assert spoken(thinking, list(text), tools=False)[:2] == (reasoning, content)


def test_calls_come_behind_the_reasoning() -> None:
    text = f"<think>\nI add.\n</think>\n\nNow:\n{CALL}\n{CALL}"

    assert spoken(Thinking.MAYBE, list(text)) == ("I add.", "Now:", [(0, "add", '{"a": 1}'), (1, "add", '{"a": 1}')])


def test_a_call_inside_of_the_reasoning_is_none() -> None:
    assert spoken(Thinking.MAYBE, [f"<think>{CALL}</think>ok"]) == (CALL, "ok", [])


@given(
    st.sampled_from(list(Thinking)),
    st.lists(st.sampled_from(["<think>", "</think>", "<", "think>", " ", "\n", "a", "😀", CALL, "</thi"])),
    st.data(),
)
def test_any_cut_gives_the_same(thinking: Thinking, parts: list[str], data: st.DataObject) -> None:
    text = "".join(parts)
    cuts = [0, *sorted(data.draw(st.lists(st.integers(0, len(text))))), len(text)]
    chunks = [text[start:end] for start, end in itertools.pairwise(cuts)]

    assert spoken(thinking, chunks) == spoken(thinking, [text])


def test_the_prompt_says_how_an_answer_begins() -> None:
    assert thinking_after("assistant\n<think>\n") is Thinking.OPENED
    assert thinking_after("assistant\n<think>\n\n</think>\n\n") is Thinking.NEVER
    assert thinking_after("assistant\n") is Thinking.MAYBE


def test_channels_are_told_apart_as_tags_are() -> None:
    text = (
        "<|channel|>analysis<|message|>I add.<|end|><|start|>assistant<|channel|>commentary<|message|>Now:<|end|>"
        '<|start|>assistant<|channel|>commentary to=functions.add <|constrain|>json<|message|>{"a": 1}<|call|>'
    )
    speech = Speech(Reasoning(Thinking.NEVER), Harmony().parser(()), Harmony().call_id)
    pieces = [*map(speech.push, text), speech.finish()]

    assert "".join(piece.get("reasoning", "") for piece in pieces) == "I add."
    assert "".join(piece.get("content", "") for piece in pieces) == "Now:"
    calls = [call for piece in pieces for call in piece.get("tool_calls", [])]
    assert calls[0]["name"] == "add"
    assert "".join(call["arguments"] for call in calls) == '{"a": 1}'
    assert speech.calls == 1
    assert speech.apart
