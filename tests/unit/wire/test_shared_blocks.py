"""The allocator: no overlap, hot blocks first, and everything can be had again."""

from hypothesis import given, settings
from hypothesis import strategies as st

from omnipipe.wire.shm.blocks import Blocks, order_of
from omnipipe.wire.shm.segment import BLOCK_BYTES


def take(blocks: Blocks, order: int) -> int | None:
    for way in (blocks.take, blocks.take_fresh, blocks.take_any):
        index = way(order)
        if index is not None:
            return index
    return None


def test_orders() -> None:
    sizes = [1, BLOCK_BYTES, BLOCK_BYTES + 1, 2 * BLOCK_BYTES, 2 * BLOCK_BYTES + 1, 64 << 20]
    assert [order_of(size) for size in sizes] == [0, 0, 1, 1, 2, 11]


def test_the_block_that_was_used_last_is_used_next() -> None:
    blocks = Blocks(16)
    first, second = take(blocks, 0), take(blocks, 0)
    assert first is not None
    assert second is not None
    blocks.give(first, 0)
    blocks.give(second, 0)
    assert take(blocks, 0) == second


def test_small_blocks_join_to_a_large_one() -> None:
    blocks = Blocks(8)
    small = [take(blocks, 0) for _ in range(8)]
    assert take(blocks, 0) is None
    for index in small:
        assert index is not None
        blocks.give(index, 0)
    assert take(blocks, 3) == 0


@settings(max_examples=100)
@given(st.integers(1, 70), st.lists(st.tuples(st.booleans(), st.integers(0, 4)), max_size=60))
def test_blocks_never_overlap_and_all_come_back(units: int, steps: list[tuple[bool, int]]) -> None:
    blocks = Blocks(units)
    held: list[tuple[int, int]] = []
    for takes, number in steps:
        if takes:
            index = take(blocks, number)
            if index is not None:
                assert index % (1 << number) == 0
                assert index + (1 << number) <= units
                mine = range(index, index + (1 << number))
                assert all(mine.stop <= i or i + (1 << n) <= mine.start for i, n in held)
                held.append((index, number))
        elif held:
            blocks.give(*held.pop(number % len(held)))
    for index, order in held:
        blocks.give(index, order)
    assert sorted(i for i in iter(lambda: take(blocks, 0), None)) == list(range(units))
