from omnipipe.local.restart import Restarts


def test_delays_grow_and_stay_within_bounds() -> None:
    restarts = Restarts(ever_ready=True)
    delays = [restarts.ended(None, 1) for _ in range(40)]
    assert delays[:6] == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2]
    assert set(delays[6:]) == {5.0}


def test_a_process_that_ran_well_starts_from_the_shortest_delay() -> None:
    restarts = Restarts()
    for _ in range(4):
        restarts.ended(0.5, -9)
    assert restarts.ended(10.0, -9) == 0.1


def test_one_that_crashes_soon_after_it_was_ready_keeps_its_history() -> None:
    restarts = Restarts()
    assert [restarts.ended(0.5, -9) for _ in range(3)] == [0.1, 0.2, 0.4]


def test_gives_up_on_a_process_that_was_never_ready_after_five_starts() -> None:
    restarts = Restarts()
    assert [restarts.ended(None, 70) for _ in range(5)] == [0.1, 0.2, 0.4, 0.8, None]


def test_never_gives_up_on_one_that_was_ready_once() -> None:
    restarts = Restarts()
    restarts.ended(0.1, -11)
    assert all(restarts.ended(None, 70) is not None for _ in range(20))


def test_gives_up_at_once_when_the_plan_or_command_line_is_wrong() -> None:
    assert Restarts().ended(None, 1) is None
    assert Restarts().ended(None, 2) is None
