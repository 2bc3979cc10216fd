"""What a step holds, and that everybody gets there."""

import random

import pytest
from tests.unit.engines.autoregressive.scheduling import Bench

from omnipipe.engines.autoregressive.sequence import State


def test_prompts_come_in_chunks_beside_the_tokens_of_others() -> None:
    bench = Bench(step_tokens=8, max_batch=4)
    bench.add("a", 4, new=20)
    bench.step()
    bench.add("long", 40)
    for _ in range(5):
        step = bench.step()
        assert step["a"].size == 1
        assert step["long"].size == 7
    bench.run()
    assert sorted(bench.done) == ["a", "long"]


def test_the_first_comes_first_and_priority_before_that() -> None:
    bench = Bench(step_tokens=8, max_batch=8)
    for rid, priority in (("a", 1), ("b", 1), ("c", 0)):
        bench.add(rid, 8, priority=priority)
    assert [list(bench.step()) for _ in range(1)] == [["c"]]
    assert "a" in bench.step()


def test_what_cannot_grow_gives_way_and_comes_back() -> None:
    bench = Bench(blocks=6, block_tokens=4, step_tokens=32, reuse=False)
    for rid in ("a", "b", "c"):
        bench.add(rid, 7, new=14)
    bench.run()
    assert sorted(bench.done) == ["a", "b", "c"]
    assert bench.done[0] == "a"
    assert bench.scheduler.preemptions > 0


def test_what_a_pool_can_never_hold_is_known_beforehand() -> None:
    bench = Bench(blocks=4, block_tokens=4)
    assert bench.scheduler.fits(16)
    assert not bench.scheduler.fits(17)


def test_a_prefix_is_computed_once() -> None:
    bench = Bench(step_tokens=64)
    prompt = list(range(20))
    bench.add("a", prompt)
    bench.run()
    second = bench.add("b", [*prompt, 7, 8])
    assert bench.step()["b"].start == 20
    assert second.cached == 20
    assert bench.scheduler.hit_tokens == 20


def test_the_last_position_of_a_prompt_is_always_computed() -> None:
    bench = Bench()
    bench.add("a", list(range(16)))
    bench.run()
    bench.add("b", list(range(16)))
    assert bench.step()["b"].start == 12


@pytest.mark.parametrize("step_tokens", [8, 12, 64])
def test_requests_of_one_moment_share_what_they_have_in_common(step_tokens: int) -> None:
    bench = Bench(step_tokens=step_tokens, max_batch=8)
    prompt = list(range(40))
    for rid in "abcd":
        bench.add(rid, [*prompt, ord(rid)])
    computed = 0
    while bench.scheduler.ready():
        computed += sum(piece.size for piece in bench.step().values())
    assert computed <= 40 + 4 + 4 * 4
    assert sorted(bench.done) == list("abcd")


def test_a_continued_conversation_finds_its_answer_too() -> None:
    bench = Bench()
    sequence = bench.add("a", 10, new=10)
    bench.run()
    bench.add("b", [*sequence.tokens, 1, 2, 3])
    assert bench.step()["b"].start == 16


def test_paused_ones_compute_nothing_and_keep_their_blocks() -> None:
    bench = Bench()
    a = bench.add("a", 8, new=6)
    bench.step()
    a.paused = True
    assert not bench.scheduler.ready()
    held = list(a.blocks)
    bench.add("b", 4)
    bench.run()
    assert a.blocks == held
    a.paused = False
    bench.run()
    assert sorted(bench.done) == ["a", "b"]


def test_paused_ones_give_way_before_anybody_waits() -> None:
    bench = Bench(blocks=4, block_tokens=4, reuse=False)
    a = bench.add("a", 11, new=5)
    bench.step()
    a.paused = True
    bench.add("b", 12, new=4)
    bench.run()
    assert bench.done == ["b"]
    assert a.state is State.WAITING
    a.paused = False
    bench.run()
    assert bench.done == ["b", "a"]


def test_a_held_one_computes_all_but_its_last_position() -> None:
    bench = Bench()
    a = bench.add("a", 9, held=True)
    bench.step()
    assert a.computed == 8
    assert not bench.scheduler.ready()
    a.append_prompt([1, 2])
    assert bench.step()["a"].size == 2
    a.held = False
    a.limit += 2
    bench.run()
    assert bench.done == ["a"]


def test_held_ones_do_not_lock_out_the_others() -> None:
    bench = Bench(blocks=4, block_tokens=4, reuse=False)
    a = bench.add("a", 8, new=8, held=True)
    bench.step()
    bench.add("b", 13, new=3)
    bench.run()
    assert bench.done == ["b"]
    a.held = False
    bench.run()
    assert bench.done == ["b", "a"]


def test_embeddings_are_shared_only_under_a_key() -> None:
    bench = Bench()
    for rid, key in (("a", b"cat"), ("b", b"cat"), ("c", b"dog"), ("d", b""), ("e", b"")):
        sequence = bench.add(rid, [*range(4), *([0] * 8), *range(4, 9)])
        sequence.embed(4, 8, object(), key)
        first = bench.step()[rid]
        assert first.start == {"a": 0, "b": 16, "c": 4, "d": 4, "e": 4}[rid]
        bench.run()


@pytest.mark.parametrize("seed", range(12))
def test_anything_that_may_happen(seed: int) -> None:
    """Random requests, cancels, pauses and holds in a small pool: everybody ends, every step holds its promises."""
    rng = random.Random(seed)
    blocks = rng.choice([8, 12, 40])
    bench = Bench(
        blocks=blocks,
        block_tokens=rng.choice([1, 4]),
        max_batch=rng.choice([1, 3, 8]),
        step_tokens=rng.choice([1, 5, 16, 64]),
        reuse=rng.random() < 0.7,
    )
    room = blocks * bench.block_tokens
    names = iter(range(10_000))
    dropped = 0
    for _ in range(150):
        if rng.random() < 0.4:
            new = rng.randint(1, room // 2)
            prompt = [*range(rng.choice([0, 4, 9])), *(rng.randrange(50) for _ in range(rng.randint(1, room // 2)))]
            prompt = prompt[: room - new]
            bench.add(str(next(names)), prompt, new, priority=rng.choice([0, 0, 0, 1]), held=rng.random() < 0.1)
        for sequence in list(bench.live.values()):
            roll = rng.random()
            if roll < 0.02:
                bench.drop(sequence.rid)
                dropped += 1
            elif roll < 0.12:
                sequence.paused = not sequence.paused
            elif roll < 0.2:
                sequence.held = False
        if bench.scheduler.ready():
            bench.step()
    for sequence in bench.live.values():
        sequence.paused = sequence.held = False
    bench.run()
    assert not bench.live
    assert len(bench.done) + dropped == next(names)
    assert bench.pool.held == 0
