"""The work queue: each key once, one worker a key, backoff, delays."""

import asyncio

import pytest

from omnipipe_operator.queue import Pace, WorkQueue


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


async def taken(queue: WorkQueue[str]) -> str | None:
    try:
        async with asyncio.timeout(0):
            return await queue.take()
    except TimeoutError:
        return None


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def queue(clock: Clock) -> WorkQueue[str]:
    return WorkQueue(Pace(gather_s=0.0, apart_s=0.0), clock)


async def test_a_key_is_in_it_once(queue: WorkQueue[str]) -> None:
    for _ in range(3):
        queue.add("a")
    queue.add("b")

    assert [await taken(queue), await taken(queue), await taken(queue)] == ["a", "b", None]


async def test_a_key_is_with_one_worker_and_comes_again_if_it_was_added_meanwhile(queue: WorkQueue[str]) -> None:
    queue.add("a")
    assert await taken(queue) == "a"

    queue.add("a")
    assert await taken(queue) is None

    queue.done("a")
    assert await taken(queue) == "a"
    queue.done("a")
    assert await taken(queue) is None


async def test_the_earliest_of_several_times_counts(queue: WorkQueue[str], clock: Clock) -> None:
    queue.add("a", 10.0)
    queue.add("a", 5.0)
    queue.add("a", 60.0)
    assert await taken(queue) is None

    clock.now += 5.0
    assert await taken(queue) == "a"
    queue.done("a")
    clock.now += 100.0
    assert await taken(queue) is None


async def test_retries_come_later_and_later_up_to_a_minute_and_success_forgets_them(
    queue: WorkQueue[str], clock: Clock
) -> None:
    queue.add("a")
    delays = []
    for _ in range(20):
        clock.now += 100.0
        assert await taken(queue) == "a"
        delays.append(queue.failed("a"))
        queue.done("a")

    assert delays[0] < 0.01
    assert delays[4] > 4 * delays[1]
    assert 45.0 <= delays[-1] <= 75.0
    queue.succeeded("a")
    clock.now += 100.0
    assert await taken(queue) == "a"
    assert queue.failed("a", at_least_s=3.0) == 3.0


async def test_looks_at_one_pipeline_are_kept_apart(clock: Clock) -> None:
    queue = WorkQueue[str](Pace(gather_s=0.1, apart_s=1.0), clock)
    queue.add("a")
    assert await taken(queue) is None
    clock.now += 0.11
    assert await taken(queue) == "a"
    queue.add("a")
    queue.done("a")

    clock.now += 0.5
    assert await taken(queue) is None
    clock.now += 0.51
    assert await taken(queue) == "a"


async def test_a_worker_that_waits_is_woken(queue: WorkQueue[str]) -> None:
    waiting = asyncio.create_task(queue.take())
    await asyncio.sleep(0)

    queue.add("a")

    assert await asyncio.wait_for(waiting, 20) == "a"


async def test_it_says_how_much_waits_and_how_long(queue: WorkQueue[str], clock: Clock) -> None:
    queue.add("a")
    queue.add("later", 100.0)
    clock.now += 7.0

    assert (queue.depth, queue.oldest_s) == (1, 7.0)


async def test_it_does_not_grow_with_what_is_added(queue: WorkQueue[str]) -> None:
    for delay in range(10_000, 0, -1):
        queue.add("a", float(delay))

    assert len(queue._heap) < 100
