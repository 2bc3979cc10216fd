"""A pod whose node is lost must not hold up a rollout for ever."""

from tests.unit.operator.decide.pods import pod

from omnipipe_operator.instants import parse_instant, written_instant
from omnipipe_operator.pods import is_alive


def test_a_pod_is_waited_for_some_time_beyond_its_own_end() -> None:
    going = pod()
    going["metadata"]["deletionTimestamp"] = written_instant(1000.0)
    assert is_alive(going, 1000.0) and is_alive(going, 1299.0)
    assert not is_alive(going, 1301.0)


def test_a_pod_that_has_ended_runs_nothing() -> None:
    assert is_alive(pod(phase="Running"), 0.0)
    assert not is_alive(pod(phase="Failed"), 0.0)
    assert not is_alive(pod(phase="Succeeded"), 0.0)


def test_instants_are_read_as_they_are_written() -> None:
    assert parse_instant(written_instant(1_700_000_000.9)) == 1_700_000_000.0
    assert parse_instant("2026-01-01T00:00:00.123456Z") is not None
    assert parse_instant(None) is None and parse_instant("yesterday") is None
