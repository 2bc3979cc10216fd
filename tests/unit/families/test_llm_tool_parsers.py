"""The parsers of tool calls: what they find, and that it does not matter how the text was cut."""

import itertools
import json
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from omnipipe.families.llm.asked import Function, Tool
from omnipipe.families.llm.tools.choosing import choose_dialect
from omnipipe.families.llm.tools.dialect import Arguments, Begin, Content, Delta, Dialect, Thought
from omnipipe.families.llm.tools.harmony import Harmony
from omnipipe.families.llm.tools.hermes import Hermes
from omnipipe.families.llm.tools.llama3 import Llama3
from omnipipe.families.llm.tools.mistral import Mistral
from omnipipe.families.llm.tools.sections import DeepSeek, Kimi
from omnipipe.families.llm.tools.tagged_dialects import GLM4, QWEN3_CODER

TOOLS = [
    Tool("function", Function("get_weather", parameters={"properties": {"city": {"type": "string"}}})),
    Tool(
        "function",
        Function(
            "add",
            parameters={
                "properties": {
                    "a": {"type": ["integer", "array", "object"]},
                    "note": {"type": ["string", "null"]},
                    "how": {"$ref": "#/$defs/how"},
                },
                "$defs": {"how": {"enum": ["up", "down"]}},
            },
        ),
    ),
]
DIALECTS: dict[str, Dialect] = {
    "hermes": Hermes(),
    "llama3": Llama3(),
    "mistral": Mistral(named=False),
    "mistral-named": Mistral(named=True),
    "qwen3_coder": QWEN3_CODER,
    "glm4": GLM4,
    "deepseek": DeepSeek(fenced=False),
    "deepseek-fenced": DeepSeek(fenced=True),
    "kimi": Kimi(),
    "harmony": Harmony(),
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
SPOKEN |= {
    "qwen3_coder": [
        'I look.\n<tool_call>\n<function=get_weather>\n<parameter=city>\nPa"ri\n\ns\n</parameter>\n</function>\n'
        "</tool_call>",
        '<tool_call>\n<function=add>\n<parameter=a>\n[1, {"b": 2}]\n</parameter>\n<parameter=note>\nnull\n</parameter>'
        "\n</function>\n</tool_call>\n<tool_call>\n<function=add>\n</function>\n</tool_call> done",
        "<function=add>\n<parameter=how>\ndown\n</parameter>\n<parameter=a>\nTrue\n</parameter>\n</tool_call>",
        "<tool_call> is what I would write",
        "a < b <tool_ca",
        "<tool_call>\n<function=add>\n<parameter=note>\n5\n</parameter>\n<parameter=x>\nsome text\n</parameter>\n"
        "</function>",
        "<tool_call>\n<function=get_weather>\n<parameter=city>\nPar",
        "<tool_call><tool_call>\n<function=add></function></tool_call>",
        "<function=1+1> is odd",
    ],
    "glm4": [
        'I look.\n<tool_call>get_weather\n<arg_key>city</arg_key>\n<arg_value>Pa"ris </arg_value>\n</tool_call>',
        '<tool_call>add<arg_key>a</arg_key><arg_value>{"b": [1]}</arg_value></tool_call><tool_call>add</tool_call>',
        "<tool_call> is what I would write",
        "<tool_call>add\n<arg_key>note</arg_key>\n<arg_value>null</arg_value>\n<arg_key>z</arg_key>\n<arg_value>1e3</arg_value>\n"
        "</tool_call>\ndone",
        "<tool_call>add\n<arg_key>a",
        "<tool_call>add\n<arg_key>a</arg_key> = <arg_key>how</arg_key><arg_value>up</arg_value></tool_call>",
    ],
    "deepseek": [
        'Hm.<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>get_weather<｜tool▁sep｜>{"city": "}"}<｜tool▁call▁end｜>'
        "<｜tool▁call▁begin｜>add<｜tool▁sep｜>{}<｜tool▁call▁end｜><｜tool▁calls▁end｜> done",
        "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>add\n```json\n"
        '{"a": 1}\n```<｜tool▁call▁end｜>'
        "<｜tool▁call▁begin｜>function<｜tool▁sep｜>get_weather\n```json\n{}\n```<｜tool▁call▁end｜><｜tool▁calls▁end｜>",
        "<｜tool▁calls▁begin｜> is what I would write",
        "<｜tool▁call▁begin｜>add<｜tool▁sep｜><｜tool▁call▁end｜>",
        "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>1 + 1<｜tool▁sep｜>{}",
        '<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>add<｜tool▁sep｜>{"a": ',
        "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>add<｜tool▁sep｜>nothing\nof that",
    ],
    "kimi": [
        "I look.<|tool_calls_section_begin|><|tool_call_begin|>functions.get_weather:0<|tool_call_argument_begin|>"
        '{"city": "Paris"}<|tool_call_end|><|tool_call_begin|>functions.add:1<|tool_call_argument_begin|>{}'
        "<|tool_call_end|><|tool_calls_section_end|>",
        "<|tool_calls_section_begin|><|tool_calls_section_end|>",
        '<|tool_call_begin|> add <|tool_call_argument_begin|> {"a": 1}',
    ],
    "harmony": [
        "<|channel|>analysis<|message|>Let me see.<|end|><|start|>assistant<|channel|>commentary "
        'to=functions.get_weather <|constrain|>json<|message|>{"city": "Paris"}',
        "<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant<|channel|>final<|message|>Hello <b>.",
        "<|channel|>commentary<|message|>I look.<|end|><|start|>assistant to=functions.add<|channel|>commentary json"
        '<|message|>{"a": "<|x|>"}<|call|>',
        "Hello.",
        "<|channel|>final<|message|>One.<|end|><|start|>assistant<|channel|>final<|message|>Two.<|return|>",
        "<|channel|>commentary to=functions.add<|message|>nothing of that",
        '<|channel|>analysis to=browser.search code<|message|>{"q": 1}<|call|>',
        '<|channel|>commentary to=functions.add<|message|> {"a": 1',
        " <|chan",
    ],
}
SPOKEN["deepseek-fenced"] = SPOKEN["deepseek"]


def parsed(dialect: Dialect, chunks: Sequence[str]) -> tuple[str, list[tuple[str, str]], int]:
    """Content, calls, and how many were complete. Thoughts are content in brackets."""
    parser = dialect.parser(TOOLS)
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
            case Thought(text):
                content += "".join(f"[{char}]" for char in text)
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
    if name in ("qwen3_coder", "glm4"):
        parts += ["<function=", ">", "<parameter=", "</parameter>", "</function>", "note", "how", "null", "\n", "\n"]
    if name == "harmony":
        parts += ["analysis", "commentary", "final", "to=functions.add", "assistant", "json"]
    if name.startswith(("deepseek", "kimi")):
        parts += ["function", "```json", "```", "{}", "functions.add:1"]
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
        ("qwen3_coder", 0, "I look.", [("get_weather", {"city": 'Pa"ri\n\ns'})], 1),
        ("qwen3_coder", 1, "done", [("add", {"a": [1, {"b": 2}], "note": None}), ("add", {})], 2),
        ("qwen3_coder", 2, "", [("add", {"how": "down", "a": True})], 1),
        ("qwen3_coder", 3, "<tool_call> is what I would write", [], 0),
        ("qwen3_coder", 4, "a < b <tool_ca", [], 0),
        ("qwen3_coder", 5, "", [("add", {"note": "5", "x": "some text"})], 1),
        ("qwen3_coder", 7, "<tool_call>", [("add", {})], 1),
        ("qwen3_coder", 8, "<function=1+1> is odd", [], 0),
        ("glm4", 0, "I look.", [("get_weather", {"city": 'Pa"ris '})], 1),
        ("glm4", 1, "", [("add", {"a": {"b": [1]}}), ("add", {})], 2),
        ("glm4", 2, "<tool_call> is what I would write", [], 0),
        ("glm4", 3, "done", [("add", {"note": None, "z": 1000.0})], 1),
        ("glm4", 5, "", [("add", {"how": "up"})], 1),
        ("deepseek", 0, "Hm.done", [("get_weather", {"city": "}"}), ("add", {})], 2),
        ("deepseek", 1, "", [("add", {"a": 1}), ("get_weather", {})], 2),
        ("deepseek", 2, "<｜tool▁calls▁begin｜> is what I would write", [], 0),
        ("deepseek", 3, "", [("add", {})], 1),
        ("deepseek", 4, "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>1 + 1<｜tool▁sep｜>{}", [], 0),
        ("deepseek", 6, "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>add<｜tool▁sep｜>nothing\nof that", [], 0),
        ("kimi", 0, "I look.", [("get_weather", {"city": "Paris"}), ("add", {})], 2),
        ("kimi", 1, "", [], 0),
        ("kimi", 2, "", [("add", {"a": 1})], 1),
        ("harmony", 0, "[L][e][t][ ][m][e][ ][s][e][e][.]", [("get_weather", {"city": "Paris"})], 1),
        ("harmony", 1, "[H][m][.]Hello <b>.", [], 0),
        ("harmony", 2, "I look.", [("add", {"a": "<|x|>"})], 1),
        ("harmony", 3, "Hello.", [], 0),
        ("harmony", 4, "One.\n\nTwo.", [], 0),
        ("harmony", 5, "nothing of that", [], 0),
        ("harmony", 6, '[{]["][q]["][:][ ][1][}]', [], 0),
        ("harmony", 8, " <|chan", [], 0),
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
    parser = Hermes().parser(TOOLS)
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
        ("… <｜tool▁calls▁begin｜> …", DeepSeek),
        ("… <|tool_calls_section_begin|> …", Kimi),
        ("… <|start|>assistant<|channel|>final<|message|> …", Harmony),
        ("", type(None)),
    ],
)
def test_the_template_tells_the_dialect(template: str, expected: type) -> None:
    assert type(choose_dialect("auto", template)) is expected


def test_the_template_tells_apart_what_is_written_in_tags() -> None:
    assert choose_dialect("auto", "… <tool_call>\n<function=name>\n<parameter=key> …") is QWEN3_CODER
    assert choose_dialect("auto", "… <tool_call>{name}\n<arg_key> …") is GLM4


def test_the_manifest_has_the_last_word() -> None:
    assert isinstance(choose_dialect("hermes", "[TOOL_CALLS]"), Hermes)
    assert choose_dialect("none", "<tool_call>") is None


def test_ids_are_such_as_the_templates_take() -> None:
    assert Mistral(named=False).call_id("add", 0).isalnum()
    assert len(Mistral(named=False).call_id("add", 0)) == 9
    assert Hermes().call_id("add", 0) != Hermes().call_id("add", 0)
    assert Kimi().call_id("add", 1) == "functions.add:1"


def test_text_is_streamed_and_other_values_are_not() -> None:
    parser = QWEN3_CODER.parser(TOOLS)
    parser.push("<tool_call>\n<function=get_weather>\n<parameter=city>\n")

    assert parser.push('Pa"') == [Arguments('Pa\\"')]
    assert parser.push("ris\n</para") == [Arguments("ris")]  # the line break may be the mark's
    assert parser.push("meter>\n</function>") == [Arguments('"'), Arguments("}")]
    parser.push("</tool_call>\n<tool_call>\n<function=add>\n<parameter=a>\n[1,")
    assert parser.push("2]\n</parameter>") == [Arguments("[1,2]")]


def test_channels_say_what_comes_next() -> None:
    parser = Harmony().parser(())
    assert (parser.apart, parser.thinking, parser.calling) == (True, False, False)
    parser.push("<|channel|>analysis<|message|>Hm")
    assert (parser.apart, parser.thinking, parser.calling) == (True, True, False)
    parser.push("<|end|><|start|>assistant<|channel|>final<|message|>")
    assert (parser.apart, parser.thinking, parser.calling) == (False, False, False)
    parser.push("<|end|><|start|>assistant to=functions.add<|channel|>commentary<|message|>{")
    assert (parser.apart, parser.thinking, parser.calling) == (True, False, True)
