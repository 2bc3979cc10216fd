"""Several expositions become one valid document."""

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from omnipipe.observe.families import Registry
from omnipipe.observe.merge import Exposition, merge
from omnipipe.observe.metrics import CoordinatorMetrics, StageMetrics
from omnipipe.observe.scrape import process_name


def stage_text(stage: str) -> str:
    registry = Registry()
    metrics = StageMetrics(registry, namespace="n", pipeline="p", stage=stage, revision="r")
    metrics.running.set(len(stage))
    metrics.step(seconds=0.01, batch=2)
    return registry.render().decode()


def parse(text: str) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    samples = [s for family in text_string_to_metric_families(text) for s in family.samples]
    keys = [(s.name, frozenset(s.labels.items())) for s in samples]
    assert len(set(keys)) == len(keys), "a series is there twice"
    return dict(zip(keys, (s.value for s in samples), strict=True))


def test_nothing_is_lost_and_families_are_grouped() -> None:
    registry = Registry()
    CoordinatorMetrics(registry, namespace="n", pipeline="p", revision="r")
    texts = {
        "gateway": registry.render().decode(),
        "a-0": stage_text("a"),
        "a-1": stage_text("a"),
        "b-0": stage_text("b"),
    }
    merged = merge(Exposition(process, text) for process, text in texts.items())
    expected = {
        (name, labels | {("process", process)}): value
        for process, text in texts.items()
        for (name, labels), value in parse(text).items()
    }
    assert parse(merged) == expected
    heads = [line for line in merged.splitlines() if line.startswith("# TYPE")]
    assert len(heads) == len(set(heads))


def test_merging_again_changes_nothing() -> None:
    once = merge([Exposition("a", stage_text("a")), Exposition("b", stage_text("b"))])
    assert merge([Exposition("gateway", once)]) == once


def test_a_series_that_is_there_twice_is_kept_once() -> None:
    assert merge([Exposition("a", "x 1\nx 2\n")]) == 'x{process="a"} 1\n'


def test_label_values_are_left_as_they_are() -> None:
    line = 'x{route="/v1/{id} a,b=\\"c\\""} 1'
    assert merge([Exposition('a"\n', line)]) == 'x{process="a\\"\\n",route="/v1/{id} a,b=\\"c\\""} 1\n'


def test_lines_of_another_format_are_left_out() -> None:
    assert merge([Exposition("a", "<html>\nx 1\n# EOF\n\n{}\n")]) == 'x{process="a"} 1\n'


def test_nothing_makes_an_empty_document() -> None:
    assert merge([]) == ""


@given(st.text(max_size=200))
def test_no_text_can_break_the_merge(text: str) -> None:
    merge([Exposition("a", text), Exposition("b", stage_text("b"))])


def test_process_names() -> None:
    assert process_name("unix:/run/omnipipe-1/compose-0.admin.sock") == "compose-0"
    assert process_name("127.0.0.1:9000") == "127.0.0.1:9000"
