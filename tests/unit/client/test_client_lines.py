"""Lines are bounded, and long ones are looked through once."""

import pytest

from omnipipe.client.errors import BadAnswer
from omnipipe.client.lines import Lines


def test_blank_lines_and_both_line_ends() -> None:
    lines = Lines()
    lines.feed(b"\n\r\n a \r\nb")
    assert (lines.next(), lines.next()) == (b"a", None)
    lines.feed(b"c\n")
    assert (lines.next(), lines.next()) == (b"bc", None)


def test_what_has_no_line_end_at_the_end_is_a_line() -> None:
    lines = Lines()
    lines.feed(b"a\nb")
    lines.end()
    assert (lines.next(), lines.next(), lines.next()) == (b"a", b"b", None)


def test_a_line_without_end_does_not_fill_the_memory() -> None:
    lines = Lines(max_line_bytes=100)
    lines.feed(bytes(100))
    assert lines.next() is None
    lines.feed(b"x")
    with pytest.raises(BadAnswer, match="longer than 100 bytes"):
        lines.next()
