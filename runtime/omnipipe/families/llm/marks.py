"""Where a mark is in text that comes in pieces, or where its beginning may be."""

from collections.abc import Sequence

__all__ = ["seek", "seek_any"]


def seek(text: str, mark: str) -> tuple[int, bool]:
    """`(at, True)`: it is there. `(at, False)`: it is not; what is behind `at` may be its beginning, what is before
    has nothing to do with it."""
    at = text.find(mark)
    if at >= 0:
        return at, True
    for size in range(min(len(mark) - 1, len(text)), 0, -1):
        if text.endswith(mark[:size]):
            return len(text) - size, False
    return len(text), False


def seek_any(text: str, marks: Sequence[str]) -> tuple[int, str]:
    """The same of the first of several marks: `(at, mark)`, or `(at, "")` when none is there."""
    where = [(seek(text, mark), mark) for mark in marks]
    found = [(at, mark) for (at, there), mark in where if there]
    if found:
        return min(found)
    return min(at for (at, _), _ in where), ""
