"""The heap behind all waiting."""

from hypothesis import given
from hypothesis import strategies as st

from omnipipe.coordinator.deadlines import COMPACT_ABOVE, Deadlines


def test_due_in_order() -> None:
    deadlines: Deadlines[str] = Deadlines()
    for when in (3.0, 1.0, 2.0):
        deadlines.add(when, f"at {when}")
    assert deadlines.earliest() == 1.0
    assert deadlines.due(2.0) == ["at 1.0", "at 2.0"]
    assert deadlines.due(2.0) == []
    assert len(deadlines) == 1


def test_cancelled_is_never_due_and_does_not_pile_up() -> None:
    deadlines: Deadlines[int] = Deadlines()
    for i in range(10_000):
        entry = deadlines.add(600.0 + i, i)
        deadlines.cancel(entry)
        deadlines.cancel(entry)
    assert len(deadlines) == 0
    assert len(deadlines._heap) <= COMPACT_ABOVE + 1
    assert deadlines.due(1e9) == []
    assert deadlines.earliest() is None


@given(st.lists(st.tuples(st.integers(0, 20), st.booleans()), max_size=200), st.integers(0, 20))
def test_all_that_is_due_and_nothing_else(wanted: list[tuple[int, bool]], now: int) -> None:
    deadlines: Deadlines[int] = Deadlines()
    entries = [deadlines.add(when, number) for number, (when, _) in enumerate(wanted)]
    for entry, (_, cancelled) in zip(entries, wanted, strict=True):
        if cancelled:
            deadlines.cancel(entry)
    expected = sorted((when, number) for number, (when, off) in enumerate(wanted) if not off and when <= now)
    assert deadlines.due(now) == [number for _, number in expected]
