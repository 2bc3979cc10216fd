"""Cutting a long text where a speaker would breathe, so that each part can be spoken by itself."""

import re
from collections.abc import Iterator

__all__ = ["spoken_parts"]

_END = re.compile(
    r"(?:(?<![.!?…])[.!?…]++[\"'”’»)\]]*+(?=\s)"
    r"|[。！？]++[」』”’）]*+"
    r"|\n)\s*+"
)
"""Of a sentence or a line, with the white space behind it. Possessive, and tried at the beginning of a run alone: texts
come from strangers, and these patterns take time by their length and no more."""
_PAUSE = re.compile(r"[,;:](?=\s|$)\s*+|[、，；：]\s*+|(?<=\s)[–—-]\s++")
_SPACE = re.compile(r"\s++")
_ABBREVIATION = re.compile(r"(?:^|[\s(])(?:[A-Z]|Dr|Mr|Mrs|Ms|Prof|St|Sr|Jr|vs|etc|approx|e\.g|i\.e)\.\s*$")
"""A full stop that ends no sentence, most of the time."""
_LONGEST_ABBREVIATION = 16
"""Characters, with what is around it."""


def spoken_parts(text: str, most: int) -> list[str]:
    """`text` as parts of at most `most` characters, cut between sentences; where one is longer, at a pause in it, and
    where it has none, between words. Nothing is lost but the white space around the parts."""
    if len(text) <= most:
        return [text]
    parts: list[str] = []
    part = ""
    for sentence in _sentences(text):
        for piece in _pieces(sentence, most):
            if len(part) + len(piece.rstrip()) > most:
                parts.append(part)
                part = ""
            part += piece
    parts.append(part)
    return [stripped for part in parts if (stripped := part.strip())]


def _sentences(text: str) -> Iterator[str]:
    start = 0
    for end in _END.finditer(text):
        if not _ABBREVIATION.search(text, max(start, end.end() - _LONGEST_ABBREVIATION), end.end()):
            yield text[start : end.end()]
            start = end.end()
    if start < len(text):
        yield text[start:]


def _pieces(sentence: str, most: int) -> Iterator[str]:
    while len(sentence.rstrip()) > most:
        end = _last_end(_PAUSE, sentence, most) or _last_end(_SPACE, sentence, most) or most
        yield sentence[:end]
        sentence = sentence[end:].lstrip()
    if sentence:
        yield sentence


def _last_end(pattern: re.Pattern[str], text: str, most: int) -> int:
    """Where the last match within the first `most` characters ends; 0: there is none that something goes before."""
    ends = [match.end() for match in pattern.finditer(text, 0, most) if match.start()]
    return ends[-1] if ends else 0
