"""Which syntax a template shows, and what of a model's words is told apart while a call is on its way."""

import json

import pytest

from omnipipe.families.llm.asked import Function, Tool
from omnipipe.families.llm.reasoning import Reasoning, Thinking
from omnipipe.families.llm.speech import Speech
from omnipipe.families.llm.tools.choosing import choose_dialect
from omnipipe.families.llm.tools.dialect import Arguments, Begin, Content, Delta, Dialect
from omnipipe.families.llm.tools.harmony import Harmony
from omnipipe.families.llm.tools.hermes import Hermes
from omnipipe.families.llm.tools.llama3 import Llama3
from omnipipe.families.llm.tools.mistral import Mistral
from omnipipe.families.llm.tools.tagged_dialects import GLM4, QWEN3_CODER

ADD = Tool("function", Function("add", parameters={"properties": {"note": {"type": "string"}}}))


def rules(dialect: Dialect | None) -> str:
    assert dialect is not None
    return dialect.rules([ADD], parallel=False, literal=lambda mark: f"<{mark}>")


def test_the_newer_of_mistrals_ways_is_told_by_its_template() -> None:
    assert rules(choose_dialect("auto", "[TOOL_CALLS]{{ name }}[ARGS]")) == rules(Mistral(named=True))
    assert rules(choose_dialect("auto", "[TOOL_CALLS][{{ name }}]")) == rules(Mistral(named=False))
    assert rules(Mistral(named=True)) != rules(Mistral(named=False))


def test_deepseeks_fences_are_told_by_its_template() -> None:
    begin = "<｜tool▁calls▁begin｜>"

    assert "```json" in rules(choose_dialect("auto", f"{begin} ```json"))
    assert "```json" not in rules(choose_dialect("auto", begin))


@pytest.mark.parametrize(
    ("template", "is_llama"),
    [
        ("<|python_tag|>", True),
        ('<|start_header_id|> {"name": "x", "parameters": {}}', True),
        ("<|start_header_id|>", False),  # of the same maker, and calls nothing
        ('{"parameters": {}}', False),
    ],
)
def test_llamas_syntax_is_told_by_its_marks(template: str, is_llama: bool) -> None:
    assert isinstance(choose_dialect("auto", template), Llama3) is is_llama


def speech(dialect: Dialect | None, thinking: Thinking = Thinking.NEVER) -> Speech:
    parser = None if dialect is None else dialect.parser([ADD])
    return Speech(Reasoning(thinking), parser, lambda name, index: f"call-{index}")


def test_without_tools_there_are_no_calls_and_reasoning_is_what_is_apart() -> None:
    found = speech(None, Thinking.OPENED)
    assert (found.apart, found.reasoning, found.calls, found.called) == (True, True, 0, False)

    found.push("Hm.</think>")

    assert (found.apart, found.reasoning) == (False, False)
    assert found.push("Yes.") == {"content": "Yes."}
    assert found.finish() == {}


@pytest.mark.parametrize(
    ("dialect", "begin", "end"),
    [
        (Hermes(), '<tool_call>\n{"name": "add", "arguments": {"note"', ': "a"}}\n</tool_call>'),
        (QWEN3_CODER, "<tool_call>\n<function=add>\n<parameter=note>\na", "\n</parameter>\n</function>\n</tool_call>"),
        (GLM4, "<tool_call>add\n<arg_key>note</arg_key>\n<arg_value>a", "</arg_value>\n</tool_call>"),
        (Mistral(named=True), '[TOOL_CALLS]add[ARGS]{"note"', ': "a"}'),
    ],
)
def test_inside_of_a_call_what_comes_next_is_no_content(dialect: Dialect, begin: str, end: str) -> None:
    found = speech(dialect)
    found.push("Let me see. ")
    assert (found.apart, found.called, found.calls) == (False, False, 0)

    found.push(begin)
    assert (found.apart, found.called, found.calls) == (True, True, 0)

    found.push(end)
    assert (found.apart, found.called, found.calls) == (False, True, 1)


def test_what_was_held_back_comes_at_the_end() -> None:
    assert speech(Hermes()).push("a <tool_c") == {"content": "a"}
    found = speech(Hermes())
    found.push("a <tool_c")
    assert found.finish() == {"content": " <tool_c"}


def spoken(dialect: Dialect, text: str) -> tuple[str, list[tuple[str, str]]]:
    parser = dialect.parser([ADD])
    deltas: list[Delta] = [*parser.push(text), *parser.finish()]
    calls: list[tuple[str, str]] = []
    content = ""
    for delta in deltas:
        match delta:
            case Content(words):
                content += words
            case Begin(name):
                calls.append((name, ""))
            case Arguments(words):
                calls[-1] = (calls[-1][0], calls[-1][1] + words)
    return content, calls


def test_what_is_said_behind_calls_is_content_again_without_the_space_between() -> None:
    text = 'Hm.\n[TOOL_CALLS][{"name": "add", "arguments": {}}] That was it. \n'

    assert spoken(Mistral(named=False), text) == ("Hm.That was it. \n", [("add", "{}")])
    call = '<tool_call>\n{"name": "add"}\n</tool_call>'
    assert spoken(Hermes(), f"Hm. {call}\n\n Done. Really. {call}") == ("Hm.Done. Really.", [("add", "{}")] * 2)


def test_letters_of_every_alphabet_are_written_as_they_are() -> None:
    """Escaped, they would cost a client several times the characters, and a log is not readable."""
    text = "<tool_call>\n<function=add>\n<parameter=note>\ncafé 東京\n</parameter>\n</function>\n</tool_call>"

    [(_, arguments)] = spoken(QWEN3_CODER, text)[1]
    assert json.loads(arguments) == {"note": "café 東京"}
    assert "café 東京" in arguments


@pytest.mark.parametrize(
    ("text", "content"),
    [
        ("", ""),
        ("  ", "  "),
        ("<|channel|>final<|message|>", ""),
        ("<|channel|>final<|message|>One.<|end|> ", "One."),
        ("x" * 2000, "x" * 2000),
    ],
)
def test_what_comes_without_a_head_is_for_the_user(text: str, content: str) -> None:
    assert spoken(Harmony(), text) == (content, [])
