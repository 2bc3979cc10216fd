"""The parsers of tool calls: what they find, and that it does not matter how the text was cut."""

import itertools
import json
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from omnipipe.families.llm.tools.choosing import choose_dialect
from omnipipe.families.llm.tools.dialect import Arguments, Begin, Content, Delta, Dialect
from omnipipe.families.llm.tools.hermes import Hermes
from omnipipe.families.llm.tools.llama3 import Llama3
from omnipipe.families.llm.tools.mistral import Mistral

NAMES = frozenset({"get_weather", "add"})
DIALECTS: dict[str, Dialect] = {
    "hermes": Hermes(),
    "llama3": Llama3(),
    "mistral": Mistral(named=False),
    "mistral-named": Mistral(named=True),
}
SPOKEN = {
    "hermes": [
        'I look.\n<tool_call>\n{"name": "get_weather", "arguments": {"city": "Pa\\"}ris"}}\n</tool_call>',
        '<tool_call>{"arguments": {"a": [1, {"b": "}"}]}, "name": "add"}</tool_call>\n'
        '<tool_call>\n{"name": "add"}\n</tool_call>',
        '<tool_call>\n{"name": "add", "arguments": {"a": 1}}}\n</tool_call> done',
        '<tool_call>\n{"name": "add", "arguments": "{\\"a\\": 1}"}\n</tool_call>',
        '<tool_call>\n{"name": "add", "arguments": {"a": "cut',
        "<tool_call> is what I would write",
        "a < b <tool_ca",
        "<tool_call><tool_call>\n{}\n</tool_call>",
    ],
    "llama3": [
        '{"name": "get_weather", "parameters": {"city": "Paris"}}',
        '<|python_tag|>{"type": "function", "name": "add", "parameters": {"a": 1}}; {"name": "add", "parameters": {}}',
        '{"name": "Bob", "age": 3}',
        '{"name": "add", "age": 3}',
        '{"name": "add"',
        '<|python_tag|>import os',
        "Hello {there}",
        "  ",
    ],
    "mistral": [
        '[TOOL_CALLS][{"name": "add", "arguments": {"a": 1}}, {"name": "add", "arguments": {}}]',
        'Sure.[TOOL_CALLS] [{"name": "add", "arguments": {"a": "]"}}]',
        "[TOOL_CALLS]nothing of that",
        '[TOOL_CALLS]add[ARGS]{"a": {"b": 1}}[TOOL_CALLS]get_weather[ARGS]{}',
        '[TOOL_CALLS]add[CALL_ID]123456789[ARGS]{"a": 1}',
        '[TOOL_CALLS]add{"a": 1}',
        "[TOOL_CALLS][]",
        "[TOOL_CA",
        '[TOOL_CALLS][{"name": "add", "arguments": {"a": 1}}, {"na',
    ],
}  # fmt: skip
SPOKEN["mistral-named"] = SPOKEN["mistral"]


def parsed(dialect: Dialect, chunks: Sequence[str]) -> tuple[str, list[tuple[str, str]], int]:
    """Content, calls, and how many were complete."""
    parser = dialect.parser(NAMES)
    deltas: list[Delta] = []
    for chunk in chunks:
        deltas += parser.push(chunk)
    deltas += parser.finish()
    content, calls = "", list[tuple[str, str]]()
    for delta in deltas:
        match delta:
            case Content(text):
                assert text
                content += text
            case Begin(name):
                calls.append((name, ""))
            case Arguments(text):
                calls[-1] = (calls[-1][0], calls[-1][1] + text)
    return content, calls, parser.calls


@st.composite
def spoken(draw: st.DrawFn) -> tuple[str, list[str]]:
    """A dialect, and a text in some chunks: one of the above, or anything made of the same parts."""
    name = draw(st.sampled_from(sorted(DIALECTS)))
    dialect = DIALECTS[name]
    parts = [*dialect.marks, '{"name": "add", "arguments": {"a": 1}}', '"name"', ":", "{", "}", "[", "]", '"', ",", ";"]
    parts += ["\\", " ", "\n", "add", "x", "<", "1", "arguments", "😀"]
    text = draw(st.one_of(st.sampled_from(SPOKEN[name]), st.lists(st.sampled_from(parts)).map("".join)))
    cuts = sorted(draw(st.lists(st.integers(0, len(text)))))
    edges = [0, *cuts, len(text)]
    return name, [text[start:end] for start, end in itertools.pairwise(edges)]


@example(("hermes", ["<tool_call><", "tool_call>"]))
@given(spoken())
def test_any_cut_gives_the_same(case: tuple[str, list[str]]) -> None:
    name, chunks = case
    assert parsed(DIALECTS[name], chunks) == parsed(DIALECTS[name], ["".join(chunks)])


@pytest.mark.parametrize(
    ("dialect", "index", "content", "calls", "complete"),
    [
        ("hermes", 0, "I look.", [("get_weather", {"city": 'Pa"}ris'})], 1),
        ("hermes", 1, "", [("add", {"a": [1, {"b": "}"}]}), ("add", {})], 2),
        ("hermes", 2, "done", [("add", {"a": 1})], 1),
        ("hermes", 3, "", [("add", {"a": 1})], 1),
        ("hermes", 5, "<tool_call> is what I would write", [], 0),
        ("hermes", 6, "a < b <tool_ca", [], 0),
        ("llama3", 0, "", [("get_weather", {"city": "Paris"})], 1),
        ("llama3", 1, "", [("add", {"a": 1}), ("add", {})], 2),
        ("llama3", 2, '{"name": "Bob", "age": 3}', [], 0),
        ("llama3", 3, '{"name": "add", "age": 3}', [], 0),
        ("llama3", 4, '{"name": "add"', [], 0),
        ("llama3", 6, "Hello {there}", [], 0),
        ("mistral", 0, "", [("add", {"a": 1}), ("add", {})], 2),
        ("mistral", 1, "Sure.", [("add", {"a": "]"})], 1),
        ("mistral", 2, "[TOOL_CALLS]nothing of that", [], 0),
        ("mistral", 3, "", [("add", {"a": {"b": 1}}), ("get_weather", {})], 2),
        ("mistral", 4, "", [("add", {"a": 1})], 1),
        ("mistral", 5, "", [("add", {"a": 1})], 1),
        ("mistral", 7, "[TOOL_CA", [], 0),
    ],
)
def test_what_is_found(
    dialect: str, index: int, content: str, calls: list[tuple[str, dict[str, Any]]], complete: int
) -> None:
    found, called, ended = parsed(DIALECTS[dialect], [SPOKEN[dialect][index]])

    assert found == content
    assert [(name, json.loads(arguments)) for name, arguments in called] == calls
    assert ended == complete


def test_a_call_that_is_cut_off_keeps_what_was_said() -> None:
    content, calls, complete = parsed(Hermes(), [SPOKEN["hermes"][4]])

    assert (content, calls, complete) == ("", [("add", '{"a": "cut')], 0)


def test_a_marked_call_that_is_cut_before_its_name_is_left_out() -> None:
    assert parsed(Hermes(), ['Hm. <tool_call>\n{"na']) == ("Hm.", [], 0)
    assert parsed(Mistral(named=False), ['[TOOL_CALLS][{"na']) == ("", [], 0)


def test_arguments_are_streamed() -> None:
    parser = Hermes().parser(NAMES)
    parser.push('<tool_call>\n{"name": "add", "arguments": ')

    assert parser.push('{"a"') == [Begin("add"), Arguments("{"), *[Arguments(char) for char in '"a"']]
    assert parser.calling


@given(st.text(alphabet="ab <{[\n😀", max_size=30))
def test_text_without_calls_stays_as_it_is(text: str) -> None:
    for dialect in DIALECTS.values():
        assert parsed(dialect, list(text))[:2] == (text, [])


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("… <tool_call> …", Hermes),
        ("… [TOOL_CALLS] …", Mistral),
        ("… <|start_header_id|> … <|python_tag|> …", Llama3),
        ("… <tool_call><function=name> …", type(None)),
        ("", type(None)),
    ],
)
def test_the_template_tells_the_dialect(template: str, expected: type) -> None:
    assert type(choose_dialect("auto", template)) is expected


def test_the_manifest_has_the_last_word() -> None:
    assert isinstance(choose_dialect("hermes", "[TOOL_CALLS]"), Hermes)
    assert choose_dialect("none", "<tool_call>") is None


def test_ids_are_such_as_the_templates_take() -> None:
    assert Mistral(named=False).call_id().isalnum()
    assert len(Mistral(named=False).call_id()) == 9
    assert Hermes().call_id() != Hermes().call_id()
