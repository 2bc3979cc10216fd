"""Timers: what is due, in order, in bounded memory."""

from hypothesis import given
from hypothesis import strategies as st

from omnipipe.engines.timers import Timers


def test_keys_come_due_in_order_and_once() -> None:
    timers = Timers()
    for key, due in (("b", 2.0), ("a", 1.0), ("c", 3.0)):
        timers.set(key, due)
    assert timers.next_due() == 1.0
    assert timers.pop_due(2.5) == ["a", "b"]
    assert timers.pop_due(2.5) == []
    assert timers.next_due() == 3.0


def test_setting_again_replaces_and_discarding_forgets() -> None:
    timers = Timers()
    timers.set("a", 1.0)
    timers.set("a", 5.0)
    timers.set("b", 2.0)
    timers.discard("b")
    timers.discard("never set")
    assert timers.pop_due(4.0) == []
    assert timers.pop_due(5.0) == ["a"]
    assert timers.next_due() is None


def test_a_million_short_lives_leave_no_heap_behind() -> None:
    timers = Timers()
    for number in range(20_000):
        timers.set(str(number), 600.0 + number)
        timers.discard(str(number))
    assert len(timers) == 0
    assert len(timers._heap) < 200


@given(st.lists(st.tuples(st.sampled_from("abcd"), st.integers(0, 9), st.booleans()), max_size=40))
def test_it_behaves_like_a_plain_dict(changes: list[tuple[str, int, bool]]) -> None:
    timers, model = Timers(), dict[str, float]()
    for key, due, discard in changes:
        if discard:
            timers.discard(key)
            model.pop(key, None)
        else:
            timers.set(key, float(due))
            model[key] = float(due)
    assert timers.next_due() == min(model.values(), default=None)
    assert sorted(timers.pop_due(5.0)) == sorted(key for key, due in model.items() if due <= 5.0)
    assert len(timers) == sum(due > 5.0 for due in model.values())
