from collections.abc import Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from omnipipe.spec.document import MAX_BYTES, Document, read_documents


def read(text: str) -> Document:
    [document], findings = read_documents(text, "x.yaml")
    assert not findings
    return document


def test_every_node_has_its_line() -> None:
    document = read("a:\n  b: 1\n  c:\n    - x\n    - d: 2\n\n      e: 3\n")

    assert document.lines.at(("a", "b")) == 2
    assert document.lines.at(("a", "c", 0)) == 4
    assert document.lines.at(("a", "c", 1, "e")) == 7


def test_a_missing_node_has_the_line_of_what_it_is_missing_from() -> None:
    document = read("a:\n  b:\n    c: 1\n")

    assert document.lines.at(("a", "b", "d", 3, "e")) == 2
    assert document.lines.at(("z",)) == 1


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1", 1),
        ("-7", -7),
        ("0x10", 16),
        ("1.5", 1.5),
        ("1e3", 1000.0),
        (".5", 0.5),
        ("true", True),
        ("no", False),
        ("~", None),
        ("", None),
        ("'1'", "1"),
        ("2024-01-01", "2024-01-01"),
        ("010", "010"),
        ("1:30", "1:30"),
        (".nan", ".nan"),
        ("9" * 60, "9" * 60),
        ("!!str 5", "5"),
    ],
)
def test_scalars_are_what_json_has(text: str, value: object) -> None:
    found = read(f"a: {text}\n").value["a"]

    assert found == value
    assert type(found) is type(value)


def test_anchors_and_merge_keys_are_written_out() -> None:
    document = read("base: &base {a: 1, b: 2}\none:\n  <<: *base\n  b: 3\ntwo: {<<: [*base, {c: 4}]}\nthree: *base\n")

    assert document.value["one"] == {"a": 1, "b": 3}
    assert document.value["two"] == {"a": 1, "b": 2, "c": 4}
    assert document.value["three"] == {"a": 1, "b": 2}


def test_documents_of_nothing_do_not_count() -> None:
    documents, findings = read_documents("---\n# first\n---\na: 1\n---\n---\nb: 2\n...\n", "x.yaml")

    assert [document.value for document in documents] == [{"a": 1}, {"b": 2}]
    assert [document.line for document in documents] == [4, 7]
    assert not findings


def test_what_comes_before_a_syntax_error_is_still_read() -> None:
    documents, [finding] = read_documents("a: 1\n---\nb: [1\n", "x.yaml")

    assert [document.value for document in documents] == [{"a": 1}]
    assert finding.line == 4


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"a: 1\nb: \xff\n", "x.yaml:2: is not UTF-8 text"),
        ("a: 1\nb: \x07\n", "x.yaml:2: holds a control character that YAML does not allow"),
        ("a" * (MAX_BYTES + 1), f"x.yaml:1: is too large: {MAX_BYTES + 1} bytes, a manifest has at most {MAX_BYTES}"),
        ("a: !!int word\n", "x.yaml:1: a: !!int cannot be 'word'"),
        ("a: !!set {b}\n", "x.yaml:1: a: the tag !!set is not allowed"),
        ("a:\n  <<: 5\n", "x.yaml:2: a: << takes a mapping, or a list of mappings"),
        ("? [a, b]\n: c\n", "x.yaml:1: a key must be a string, got a list"),
    ],
)
def test_what_is_no_manifest_at_all(text: str | bytes, message: str) -> None:
    _, findings = read_documents(text, "x.yaml")

    assert [str(finding) for finding in findings] == [message]


def test_a_byte_order_mark_is_let_pass() -> None:
    [document], findings = read_documents("\ufeffa: 1\n".encode(), "x.yaml")

    assert document.value == {"a": 1}
    assert not findings


@given(st.text(alphabet="ab:-[]{}&*<!|>'\"#,? \n\t%@`~1.\\", max_size=60))
@settings(deadline=None, max_examples=300)
def test_no_text_is_too_odd_to_be_answered(text: str) -> None:
    documents, findings = read_documents(text, "x.yaml")

    assert documents or findings
    assert all(isinstance(document.value, Mapping) for document in documents)
    assert all(finding.line for finding in findings)
