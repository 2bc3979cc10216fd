"""Where the positions of a sequence lie, for models whose rotary embedding turns by three numbers: time, height, width.

Text counts all three on together; an image lies at one time and spreads in height and width. Knows no torch.
"""

from array import array
from collections.abc import Sequence

__all__ = ["Rope"]


class Rope:
    """Known as far as the last positions that were given; behind that all three count on from the highest."""

    __slots__ = ("_next", "_rows")

    def __init__(self) -> None:
        self._rows = (array("d"), array("d"), array("d"))
        self._next = 0.0
        """Of the first position that is not known."""

    def extend(self, start: int, rows: Sequence[Sequence[float]]) -> None:
        """Three rows: of the positions from `start` on. In order."""
        known = len(self._rows[0])
        self._next += start - known
        for row, values in zip(self._rows, rows, strict=True):
            row.extend(self._next - (start - at) for at in range(known, start))
            row.extend(values)
        highest = max((max(values) for values in rows if len(values)), default=self._next - 1.0)
        self._next = max(self._next, highest + 1.0)

    def rows(self, start: int, end: int) -> list[list[float]]:
        """Of the positions `start` to `end`."""
        known = len(self._rows[0])
        found = [row[start:end].tolist() for row in self._rows]
        if end > known:
            behind = [self._next + (at - known) for at in range(max(start, known), end)]
            for values in found:
                values += behind
        return found

    def digest(self, start: int, end: int) -> bytes:
        """Names what is known of these positions; nothing where they are as those of plain text. What lies behind
        follows from what is before."""
        end = min(end, len(self._rows[0]))
        plain = array("d", range(start, end))
        if all(row[start:end] == plain for row in self._rows):
            return b""
        return b"".join(row[start:end].tobytes() for row in self._rows)
