"""Where a long text is cut to be spoken."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omnipipe.gateway.openai.sentences import spoken_parts


def test_what_fits_is_left_as_it_is() -> None:
    assert spoken_parts("  One. Two.  ", 13) == ["  One. Two.  "]


@pytest.mark.parametrize(
    ("text", "most", "parts"),
    [
        ("One two. Three four. Five six.", 20, ["One two. Three four.", "Five six."]),
        ('He said "No!" Then he left.', 16, ['He said "No!"', "Then he left."]),
        ("Ask Dr. Who. He knows it.", 15, ["Ask Dr. Who.", "He knows it."]),
        ("你好。今天天气很好。我们走吧。", 10, ["你好。今天天气很好。", "我们走吧。"]),
        ("A line\nanother line\n\nmore", 14, ["A line", "another line", "more"]),
        ("a long, long sentence, with pauses", 23, ["a long, long sentence,", "with pauses"]),
        ("words without any end at all", 12, ["words", "without any", "end at all"]),
        ("Donaudampfschifffahrt", 10, ["Donaudampf", "schifffahr", "t"]),
        ("3.14 is pi. Version 1.2.3 is out.", 22, ["3.14 is pi.", "Version 1.2.3 is out."]),
    ],
)
def test_texts_are_cut_where_a_speaker_would_breathe(text: str, most: int, parts: list[str]) -> None:
    assert spoken_parts(text, most) == parts


@given(st.text(alphabet="ab .,!?\n。，Dr", max_size=200), st.integers(1, 40))
def test_no_part_is_too_long_and_nothing_is_lost(text: str, most: int) -> None:
    parts = spoken_parts(text, most)
    if len(text) > most:
        assert all(0 < len(part) <= most for part in parts)
    assert "".join("".join(parts).split()) == "".join(text.split())


@pytest.mark.parametrize("text", ["." * 30_000 + "x", ". " * 15_000, "\n" * 30_000 + "x", "a, " * 10_000, ")" * 30_000])
@pytest.mark.parametrize("tail", ["", " " * 2000 + "end"])
def test_a_text_that_is_meant_to_take_long_does_not(text: str, tail: str) -> None:
    parts = spoken_parts(text + tail, 600)
    assert "".join("".join(parts).split()) == "".join((text + tail).split())
