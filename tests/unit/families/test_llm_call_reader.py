"""One tool call as a model writes it, a character at a time: what begins it, what is none, and odd spellings."""

import pytest

from omnipipe.families.llm.tools.dialect import Arguments, Begin, Delta
from omnipipe.families.llm.tools.reader import CallReader

NAMES = frozenset({"add", "get_weather"})


def read(text: str, names: frozenset[str] | None = None) -> tuple[CallReader, str, str]:
    """The reader, the call's name and its arguments."""
    reader = CallReader(names)
    deltas: list[Delta] = []
    for char in text:
        deltas += reader.push(char)
        if reader.done or reader.failed:
            break
    begins = [delta for delta in deltas if isinstance(delta, Begin)]
    assert len(begins) <= 1
    assert not begins or deltas[0] is begins[0]
    return (
        reader,
        begins[0].name if begins else "",
        "".join(delta.text for delta in deltas if isinstance(delta, Arguments)),
    )


@pytest.mark.parametrize(
    ("text", "arguments"),
    [
        ('{"name": "add", "arguments": {"a": 1}}', '{"a": 1}'),
        ('{"arguments": {"a": 1}, "name": "add"}', '{"a": 1}'),
        ('{"name": "add", "parameters": {"a": 1}}', '{"a": 1}'),
        ('{"name": "add", "arguments": "{\\"a\\": 1}"}', '{"a": 1}'),
        ('{"name": "add", "arguments": "{\\"a\\": \n\t1}"}', '{"a": \n\t1}'),  # line breaks in a string, as models do
        ('{"name": "add", "arguments": null}', "{}"),
        ('{"name": "add"}', "{}"),
        ('{"id": 7, "name": "add", "arguments": {}}', "{}"),
        ('{ "name" : "add" , "arguments" : [1] }', "[1]"),
        ('{"name": "add", "arguments": {}, "name": "other"}', "{}"),
    ],
)
def test_a_call_is_read_however_it_is_written(text: str, arguments: str) -> None:
    reader, name, found = read(text)

    assert (reader.done, name, found) == (True, "add", arguments)


@pytest.mark.parametrize("again", ['"parameters": {"b": 2}', '"arguments": "{}"', '"arguments": null'])
def test_arguments_that_are_written_twice_are_those_that_came_first(again: str) -> None:
    reader, name, arguments = read(f'{{"name": "add", "arguments": {{"a": 1}}, {again}}}')

    assert (reader.done, name, arguments) == (True, "add", '{"a": 1}')


@pytest.mark.parametrize(
    "text",
    [
        "[1]",
        '{"name": 5, "arguments": {}}',
        '{"name": "", "arguments": {}}',
        '{"name": "\\x", "arguments": {}}',  # no text at all
        '{"name" "add"}',
        '{"name": "add"; "arguments": {}}',
        "{name: add}",
        "{}",
        '{"arguments": {"a": 1}}',
    ],
)
def test_what_is_no_call_has_said_nothing_and_can_be_given_out_as_it_is(text: str) -> None:
    reader, name, arguments = read(text)

    assert (reader.failed, reader.began, name, arguments) == (True, False, "", "")
    assert text.startswith(reader.raw)
    assert reader.raw


def test_a_call_that_has_begun_is_not_text_any_more() -> None:
    reader, _, _ = read('{"name": "add", "arguments": {"a"')

    assert reader.began
    assert reader.raw == ""


@pytest.mark.parametrize("text", ['{"name": "other", "arguments": {}}', '{"name": "add", "age": 3}'])
def test_with_known_names_an_object_that_only_looks_like_a_call_is_none(text: str) -> None:
    reader, name, _ = read(text, NAMES)

    assert (reader.failed, name) == (True, "")
    assert read('{"type": "function", "id": "1", "name": "add", "arguments": {}}', NAMES)[1] == "add"


def test_arguments_are_given_out_as_they_come() -> None:
    reader = CallReader()
    for char in '{"name": "add", "arguments": {"a": ':
        reader.push(char)

    assert reader.push("1") == [Arguments("1")]
