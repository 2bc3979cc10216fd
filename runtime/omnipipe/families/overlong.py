"""Whether a text is too long for a model, found out without tokenizing all of it.

A body may hold megabytes and a tokenizer takes a second for each; a stage that tokenizes serves nobody else meanwhile.
Must not decide close cases: whoever asks counts the tokens of what is left.
"""

from collections.abc import Callable, Sized
from typing import Final

__all__ = ["surely_longer"]

_CHARACTERS: Final = 8
"""For each token there may be, in the first part that is looked at: more than any language has on average, so that a
text which fits is not tokenized twice."""


def surely_longer(text: str, room: int, encode: Callable[[str], Sized]) -> bool:
    """Whether `text` is of more than `room` tokens, as its beginning shows already."""
    part = max(room, 1) * _CHARACTERS
    while part < len(text):
        # A cut may fall into a token and change a few before it, by far not a quarter.
        if len(encode(text[:part])) > room + room // 4 + 16:
            return True
        part *= 2
    return False
