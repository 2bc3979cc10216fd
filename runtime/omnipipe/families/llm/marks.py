"""Where a mark is in text that comes in pieces, or where its beginning may be."""

__all__ = ["seek"]


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
