import pytest
from hypothesis import given
from hypothesis import strategies as st

from omnipipe.families.echo.text import answer, count_words, split_words


@given(st.text())
def test_words_joined_are_the_text_again(text: str) -> None:
    assert "".join(split_words(text)) == text


@given(st.text(alphabet="ab \n", max_size=30), st.integers(0, 6), st.lists(st.text("ab ", min_size=1), max_size=2))
def test_an_answer_is_a_beginning_without_a_stop_string(text: str, limit: int, stop: list[str]) -> None:
    words, finish = answer(text, limit, stop)
    said = "".join(words)

    assert text.startswith(said)
    assert len(words) <= limit
    assert all(string not in said for string in stop)
    assert finish == "stop" or said != text


@pytest.mark.parametrize(
    ("limit", "stop", "words", "finish"),
    [
        (None, [], ["one ", "two ", "three"], "stop"),
        (3, [], ["one ", "two ", "three"], "stop"),
        (2, [], ["one ", "two "], "length"),
        (None, ["two"], ["one "], "stop"),
        (None, ["wo"], ["one ", "t"], "stop"),
        (None, ["three", "two"], ["one "], "stop"),
        (None, ["one"], [], "stop"),
        (2, ["three"], ["one ", "two "], "length"),
        (2, ["two"], ["one "], "stop"),
        (None, [""], ["one ", "two ", "three"], "stop"),
    ],
)
def test_where_an_answer_ends(limit: int | None, stop: list[str], words: list[str], finish: str) -> None:
    assert answer("one two three", limit, stop) == (words, finish)


def test_a_token_is_a_word() -> None:
    assert count_words("  one\ttwo \n three ") == 3
