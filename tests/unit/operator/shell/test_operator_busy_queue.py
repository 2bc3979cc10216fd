"""A queue whose keys are planned anew all the time gives each out once, in order, and stays small."""

from omnipipe_operator.queue import Pace, WorkQueue


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


async def test_what_is_planned_earlier_again_and_again_comes_in_the_order_of_its_last_plan() -> None:
    clock = Clock()
    queue = WorkQueue[str](Pace(0.0, 0.0), clock)
    names = [f"key-{number}" for number in range(20)]
    for turn in range(50):
        for place, name in enumerate(names):
            queue.add(name, 1000.0 - 10 * turn - place)
    assert len(queue._heap) <= 4 * len(names) + 64

    clock.now = 1000.0
    assert queue.depth == len(names)
    taken = []
    for _ in names:
        key = await queue.take()
        taken.append(key)
        queue.done(key)
    assert taken == names[::-1]
    assert (queue.depth, queue.oldest_s) == (0, 0.0)


async def test_the_oldest_is_as_old_as_it_has_been_due() -> None:
    clock = Clock()
    queue = WorkQueue[str](Pace(0.0, 0.0), clock)
    queue.add("later", 50.0)
    assert (queue.depth, queue.oldest_s) == (0, 0.0)
    queue.add("now", 2.0)

    clock.now = 12.0

    assert (queue.depth, queue.oldest_s) == (1, 10.0)


async def test_a_queue_has_a_pace_of_its_own_accord() -> None:
    clock = Clock()
    clock.now = 100.0
    queue = WorkQueue[str](clock=clock)
    queue.add("a")
    assert queue.depth == 0, "what comes with it is gathered"

    clock.now += 0.05
    assert queue.depth == 1
    assert await queue.take() == "a"
    queue.add("a")
    queue.done("a")
    clock.now += 0.45
    assert queue.depth == 0, "looks at one pipeline are apart"
    clock.now += 0.06
    assert queue.depth == 1
