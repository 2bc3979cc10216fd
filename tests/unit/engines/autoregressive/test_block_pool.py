"""Blocks: who holds them, and finding content again."""

import pytest

from omnipipe.engines.autoregressive.blocks import BlockPool


def test_blocks_come_back_when_their_last_holder_lets_go() -> None:
    pool = BlockPool(3)
    taken = pool.take(3)
    assert sorted(taken) == [1, 2, 3]
    assert pool.free == 0
    pool.release(taken)
    assert pool.free == 3
    pool.check([])


def test_content_is_found_again_after_its_holder_has_gone() -> None:
    pool = BlockPool(3)
    (block,) = pool.take(1)
    pool.offer(block, b"a")
    pool.release([block])
    assert pool.find(b"a") == block
    assert pool.is_kept(block)
    pool.hold(block)
    assert pool.free == 2
    pool.check([[block]])


def test_two_holders_share_a_block() -> None:
    pool = BlockPool(2)
    (block,) = pool.take(1)
    pool.offer(block, b"a")
    pool.hold(block)
    pool.check([[block], [block]])
    pool.release([block])
    assert pool.free == 1
    assert pool.is_held(block)
    pool.release([block])
    assert pool.free == 2


def test_memory_is_taken_from_what_was_unused_longest() -> None:
    pool = BlockPool(2)
    first, second = pool.take(2)
    pool.offer(first, b"a")
    pool.offer(second, b"b")
    pool.release([first])
    pool.release([second])
    assert pool.take(1) == [first]
    assert pool.find(b"a") is None
    assert pool.find(b"b") == second
    pool.check([[first]])


def test_of_one_sequence_the_end_is_forgotten_before_the_beginning() -> None:
    pool = BlockPool(2)
    first, second = pool.take(2)
    pool.offer(first, b"a")
    pool.offer(second, b"ab")
    pool.release([first, second])
    pool.take(1)
    assert pool.find(b"a") == first
    assert pool.find(b"ab") is None


def test_equal_content_is_kept_once() -> None:
    pool = BlockPool(2)
    first, second = pool.take(2)
    pool.offer(first, b"a")
    pool.offer(second, b"a")
    assert pool.find(b"a") == first
    pool.release([first, second])
    pool.check([])
    assert pool.kept == 1


def test_disowned_content_is_not_found() -> None:
    pool = BlockPool(2)
    (block,) = pool.take(1)
    pool.offer(block, b"a")
    pool.disown([block])
    assert pool.find(b"a") is None
    pool.release([block])
    pool.check([])
    assert pool.kept == 0


def test_without_reuse_nothing_is_kept() -> None:
    pool = BlockPool(1, reuse=False)
    (block,) = pool.take(1)
    pool.offer(block, b"a")
    assert pool.find(b"a") is None


def test_the_check_finds_a_leak() -> None:
    pool = BlockPool(1)
    pool.take(1)
    with pytest.raises(AssertionError):
        pool.check([])
