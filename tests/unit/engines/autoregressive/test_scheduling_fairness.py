"""Who is in a step when not everybody fits, who gives way, and what is not computed twice."""

import itertools

from tests.unit.engines.autoregressive.scheduling import Bench

from omnipipe.engines.autoregressive.blocks import BlockPool
from omnipipe.engines.autoregressive.scheduler import Scheduler
from omnipipe.engines.autoregressive.sequence import Sequence, State


def crowded(first: str, then: str, *, max_batch: int, priority: int = 0) -> Bench:
    """More that generate than a step takes: while the first were paused, others came in. `priority`: of the first."""
    bench = Bench(max_batch=max_batch, step_tokens=32)
    for rid in first:
        bench.add(rid, 2, new=50, priority=priority)
    bench.step()
    for rid in first:
        bench.live[rid].paused = True
    for rid in then:
        bench.add(rid, 2, new=50)
    bench.step()
    for rid in first:
        bench.live[rid].paused = False
    return bench


def test_of_more_than_fit_into_a_step_those_are_taken_that_waited_longest() -> None:
    bench = crowded("abcd", "ef", max_batch=4)
    steps = [frozenset(bench.step()) for _ in range(12)]

    assert all(len(step) == 4 for step in steps)
    for rid in "abcdef":
        taken = [number for number, step in enumerate(steps) if rid in step]
        assert max(b - a for a, b in itertools.pairwise(taken)) <= 2, f"{rid} was left out twice running"


def test_the_more_urgent_are_in_every_step_though_others_waited_longer() -> None:
    bench = crowded("ab", "n", max_batch=2, priority=1)

    steps = [frozenset(bench.step()) for _ in range(6)]

    assert all("n" in step for step in steps)
    assert frozenset().union(*steps) == frozenset("abn"), "and the others take turns"


def test_blocks_that_this_step_fills_are_waited_for_once_and_then_taken_over() -> None:
    bench = Bench(step_tokens=64, max_batch=8)
    prompt = list(range(17))
    bench.add("a", prompt)
    twin = bench.add("b", prompt)

    first = bench.step()
    assert set(first) == {"a"}
    second = bench.step()
    assert second["b"].start == 16
    assert (twin.cached, bench.scheduler.hit_tokens, bench.scheduler.asked_tokens) == (16, 16, 34)


def test_what_was_being_filled_in_a_step_that_is_over_is_waited_for_no_longer() -> None:
    """Its step failed, say: whoever wants the same computes it."""
    bench = Bench(step_tokens=64, max_batch=8)
    prompt = list(range(17))
    bench.add("a", prompt, new=4)
    bench.scheduler.schedule()
    bench.drop("a")
    bench.add("b", prompt)

    assert bench.step()["b"].start == 0


def test_a_prompt_in_small_pieces_does_not_hold_up_its_twin_for_ever() -> None:
    bench = Bench(step_tokens=6, max_batch=8, block_tokens=4)
    bench.add("a", list(range(30)))
    bench.add("b", list(range(30)))

    assert bench.run(60) < 60
    assert sorted(bench.done) == ["a", "b"]


def test_a_preemption_is_counted_for_the_request_and_for_all() -> None:
    bench = Bench(blocks=6, block_tokens=4, step_tokens=32, reuse=False)
    sequences = [bench.add(rid, 7, new=14) for rid in "abc"]
    bench.run()

    assert sum(sequence.preemptions for sequence in sequences) == bench.scheduler.preemptions > 0
    assert sequences[0].preemptions == 0, "the first gives way to nobody"


def test_room_for_guesses_is_what_the_step_leaves() -> None:
    pool = BlockPool(8)
    scheduler = Scheduler(pool, block_tokens=4, max_batch=4, step_tokens=8)
    sequence = Sequence("a", list(range(5)), limit=30)
    scheduler.add(sequence)
    [piece] = scheduler.schedule()

    assert scheduler.widen(piece, 2) == 2
    assert scheduler.widen(piece, 9) == 1, "of eight positions five are the prompt's and two are given"
    assert scheduler.widen(piece, 1) == 0
    assert len(sequence.blocks) == 2


def test_what_is_gone_is_neither_waiting_nor_running_and_may_go_twice() -> None:
    bench = Bench()
    sequence = bench.add("a", 4)
    bench.step()
    bench.drop("a")
    assert (bench.scheduler.running, bench.scheduler.waiting, sequence.state) == ([], [], State.GONE)

    bench.scheduler.remove(sequence)

    assert bench.pool.free == bench.pool.count


def test_content_that_is_not_to_be_trusted_is_found_by_nobody_and_its_block_is_free() -> None:
    pool = BlockPool(2)
    kept, held = pool.take(2)
    pool.offer(kept, b"one")
    pool.offer(held, b"two")
    pool.release([kept])
    assert (pool.is_held(kept), pool.is_held(held), pool.kept) == (False, True, 1)

    pool.disown([kept, held])

    assert (pool.find(b"one"), pool.find(b"two")) == (None, None)
    assert (pool.kept, pool.free, pool.held) == (0, 1, 1)
    pool.check([[held]])
    assert pool.take(1) == [kept]
    pool.release([kept, held])
    pool.check([])


def test_a_block_keeps_the_content_that_it_was_offered_first() -> None:
    pool = BlockPool(3)
    first, second, third = pool.take(3)
    pool.offer(first, b"one")
    pool.offer(first, b"other")  # it has been offered already
    pool.offer(second, b"one")  # the content has

    assert (pool.find(b"one"), pool.find(b"other")) == (first, None)
    pool.release([first, second, third])
    assert (pool.kept, pool.free) == (1, 3)
    pool.check([])
