"""Words and where an answer ends: shared by the two branches, so that they cut the same text the same way."""

import re
from collections.abc import Sequence

__all__ = ["answer", "count_words", "split_words"]

_WORD = re.compile(r"\s*\S+\s*|\s+")


def split_words(text: str) -> list[str]:
    """Words with the white space around them: joined they are the text again, to the character."""
    return _WORD.findall(text)


def count_words(text: str) -> int:
    return len(text.split())


def answer(text: str, max_words: int | None, stop: Sequence[str]) -> tuple[list[str], str]:
    """The words to say and OpenAI's finish_reason. A stop string is never said, not even a part of it that is
    followed by the rest; words beyond the limit are not looked at for one."""
    words = split_words(text)
    finish = "stop"
    if max_words is not None and len(words) > max_words:
        words, finish = words[:max_words], "length"
    said = "".join(words)
    ends = [at for at in (said.find(string) for string in stop if string) if at >= 0]
    if not ends:
        return words, finish
    return split_words(said[: min(ends)]), "stop"
