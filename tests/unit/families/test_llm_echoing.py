"""Prompts that begin their own answers: whose tokens the text shows."""

import pytest

from omnipipe.families.llm.echoing import unseen_tokens


@pytest.mark.parametrize(
    ("tokens", "plain", "unseen"),
    [
        ([5, 6], [5, 6], []),
        ([1, 5, 6], [5, 6], [0]),
        ([1, 5, 6, 2], [5, 6], [0, 3]),
        ([1, 1], [1], [1]),  # which of the two says nothing: both look alike
        ([1], [], [0]),
        ([7, 8, 9], [5], []),  # a tokenizer that makes something else of it: all is shown
        ([5], [5, 6], []),
    ],
)
def test_what_a_tokenizer_puts_around_a_text_is_not_seen(
    tokens: list[int], plain: list[int], unseen: list[int]
) -> None:
    assert unseen_tokens(tokens, plain) == frozenset(unseen)
