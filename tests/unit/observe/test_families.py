"""Our instruments against prometheus_client: what they render is what its own parser and instruments say."""

import prometheus_client
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from omnipipe.observe.families import MAX_SERIES, OTHER, Histogram, Registry

BOUNDS = (0.01, 0.1, 1)


def samples(text: bytes) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    families = text_string_to_metric_families(text.decode())
    return {(s.name, frozenset(s.labels.items())): s.value for family in families for s in family.samples}


def test_a_counter_a_gauge_and_a_histogram_render() -> None:
    registry = Registry(process=False)
    registry.counter("things", "Things.", ["kind"]).labels("a").inc(2)
    gauge = registry.gauge("level", "Level.", []).labels()
    gauge.set(5)
    gauge.inc()
    gauge.dec(2)
    registry.histogram("wait_seconds", "Wait.", ["kind"], BOUNDS).labels("a").observe(0.05, 3)
    found = samples(registry.render())
    kind = frozenset({("kind", "a")})
    assert found["things_total", kind] == 2
    assert found["level", frozenset()] == 4
    assert found["wait_seconds_bucket", kind | {("le", "0.01")}] == 0
    assert found["wait_seconds_bucket", kind | {("le", "0.1")}] == 3
    assert found["wait_seconds_bucket", kind | {("le", "+Inf")}] == 3
    assert found["wait_seconds_count", kind] == 3
    assert found["wait_seconds_sum", kind] == pytest.approx(0.15)


@given(st.lists(st.floats(0, 10), max_size=30))
def test_a_histogram_says_what_prometheus_client_would(values: list[float]) -> None:
    theirs = prometheus_client.CollectorRegistry()
    reference = prometheus_client.Histogram("wait_seconds", "Wait.", registry=theirs, buckets=BOUNDS)
    ours = Registry(process=False)
    histogram = ours.histogram("wait_seconds", "Wait.", [], BOUNDS).labels()
    for value in values:
        reference.observe(value)
        histogram.observe(value)
    expected = samples(prometheus_client.generate_latest(theirs))
    expected.pop(("wait_seconds_created", frozenset()), None)
    assert samples(ours.render()) == pytest.approx(expected)


def test_many_observations_at_once_equal_one_by_one() -> None:
    at_once, single = Histogram(BOUNDS), Histogram(BOUNDS)
    at_once.observe(0.5, 4)
    for _ in range(4):
        single.observe(0.5)
    assert (at_once.counts, at_once.sum, at_once.count) == (single.counts, single.sum, 4)


def test_the_same_name_is_the_same_family() -> None:
    registry = Registry(process=False)
    assert registry.counter("things", "Things.", ["kind"]) is registry.counter("things", "Things.", ["kind"])


def test_one_name_cannot_mean_two_things() -> None:
    registry = Registry(process=False)
    registry.counter("things", "Things.", ["kind"])
    with pytest.raises(ValueError, match="things has labels"):
        registry.counter("things", "Things.", ["other"])
    with pytest.raises(ValueError, match="Duplicated"):
        registry.gauge("things", "Things.", ["kind"])


def test_label_values_are_counted_against_the_names() -> None:
    with pytest.raises(ValueError, match="got 2 values"):
        Registry(process=False).counter("things", "Things.", ["kind"]).labels("a", "b")


def test_an_unbounded_label_ends_in_one_series() -> None:
    registry = Registry(process=False)
    family = registry.counter("things", "Things.", ["kind"])
    for i in range(MAX_SERIES + 50):
        family.labels(str(i)).inc()
    found = samples(registry.render())
    assert len(found) == MAX_SERIES + 1
    assert found["things_total", frozenset({("kind", OTHER)})] == 50


def test_wires_are_asked_at_scrape_time() -> None:
    registry = Registry(process=False)
    counters = {"sent_bytes": 0.0, "shm_bytes_in_use": 7.0}
    registry.watch_wire(lambda: counters, namespace="n", pipeline="p", stage="s", revision="r")
    registry.watch_wire(lambda: counters, namespace="n", pipeline="p", stage="", revision="r")
    counters["sent_bytes"] = 12
    found = samples(registry.render())
    where = frozenset({("namespace", "n"), ("pipeline", "p"), ("stage", "s"), ("revision", "r")})
    assert found["omnipipe_wire_sent_bytes_total", where] == 12
    assert found["omnipipe_wire_shm_bytes_in_use", where] == 7
    assert registry.render().count(b"# TYPE omnipipe_wire_sent_bytes_total") == 1


def test_registries_share_nothing() -> None:
    first, second = Registry(), Registry()
    first.counter("things", "Things.", []).labels().inc()
    assert b"things" not in second.render()


def test_the_process_itself_is_reported() -> None:
    found = samples(Registry().render())
    assert found["process_open_fds", frozenset()] > 2
    assert found["process_resident_memory_bytes", frozenset()] > 1 << 20


def test_a_watched_gauge_is_looked_at_when_somebody_scrapes() -> None:
    registry = Registry(process=False)
    seen: list[float | None] = [None, 3.0]
    registry.watch("level", "Level.", lambda: seen.pop(0))
    assert samples(registry.render()) == {}
    assert samples(registry.render()) == {("level", frozenset()): 3}
