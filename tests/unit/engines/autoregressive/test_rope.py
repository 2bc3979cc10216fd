"""Positions of three dimensions: how they go on, and that KV is shared only where they are the same."""

from omnipipe.engines.autoregressive.rope import Rope
from omnipipe.engines.autoregressive.sequence import Sequence

IMAGE = [[4.0] * 4, [4.0, 4.0, 5.0, 5.0], [4.0, 5.0, 4.0, 5.0]]


def counted(first: float, count: int) -> list[list[float]]:
    return [[first + at for at in range(count)]] * 3


def test_what_is_not_given_counts_on_behind_the_highest() -> None:
    rope = Rope()
    rope.extend(4, IMAGE)
    assert rope.rows(0, 4) == counted(0.0, 4)
    assert rope.rows(4, 8) == IMAGE
    assert rope.rows(8, 11) == counted(6.0, 3)
    assert [row[-1] for row in rope.rows(6, 10)] == [7.0] * 3
    rope.extend(10, [[8.5], [9.0], [8.0]])
    assert rope.rows(8, 10) == counted(6.0, 2)
    assert rope.rows(11, 12) == counted(10.0, 1)


def test_a_part_may_lie_before_what_was_highest() -> None:
    rope = Rope()
    rope.extend(0, [[0.0, 9.0], [0.0, 1.0], [0.0, 1.0]])
    rope.extend(2, [[3.0], [3.0], [3.0]])
    assert rope.rows(3, 4) == counted(10.0, 1)


def digests(sequence: Sequence, count: int) -> list[bytes | None]:
    return [sequence.digest(index, 4) for index in range(count)]


def test_positions_as_those_of_text_share_with_text() -> None:
    plain, placed = Sequence("a", list(range(12)), limit=20), Sequence("b", list(range(12)), limit=20)
    placed.place(0, counted(0.0, 12))
    assert digests(plain, 3) == digests(placed, 3)


def test_other_positions_share_what_is_before_them_alone() -> None:
    def made(image: list[list[float]] | None) -> Sequence:
        sequence = Sequence("a", list(range(16)), limit=20)
        sequence.embed(4, 4, None, b"key")
        if image is not None:
            sequence.place(4, image)
        return sequence

    one, same, other = digests(made(IMAGE), 4), digests(made(IMAGE), 4), digests(made(None), 4)
    assert one == same
    assert one[0] == other[0]
    assert None not in one
    assert not set(one[1:]) & set(other[1:]), "text behind an image lies elsewhere, too"
