"""In a merged exposition every sample is still of its family: its type, its words, one after another."""

import pytest
from prometheus_client.parser import text_string_to_metric_families

from omnipipe.observe.families import Registry
from omnipipe.observe.merge import Exposition, merge
from omnipipe.observe.metrics import CoordinatorMetrics, StageMetrics


def stage_text(stage: str) -> str:
    registry = Registry(process=False)
    metrics = StageMetrics(registry, namespace="n", pipeline="p", stage=stage, revision="r")
    metrics.step(seconds=0.01, batch=2)
    metrics.watch_wire(lambda: {"sent_bytes": 7.0, "slots_in_use": 3.0})
    return registry.render().decode()


def families(text: str) -> dict[str, tuple[str, str, set[str]]]:
    """Name -> type, words, and what its samples are called."""
    return {
        family.name: (family.type, family.documentation, {sample.name for sample in family.samples})
        for family in text_string_to_metric_families(text)
        if family.samples
    }


def test_types_and_words_are_those_of_each_process() -> None:
    merged = merge([Exposition("a-0", stage_text("a")), Exposition("b-0", stage_text("b"))])

    assert families(merged) == families(stage_text("a"))
    assert {"histogram", "counter", "gauge"} <= {kind for kind, _, _ in families(merged).values()}


def test_a_family_stands_in_one_piece() -> None:
    """A scraper refuses a document whose families come in turns."""
    merged = merge([Exposition("a-0", stage_text("a")), Exposition("b-0", stage_text("b"))])

    order: list[str] = []
    for line in merged.splitlines():
        name = line.split(" ")[2] if line.startswith("#") else line.partition("{")[0]
        base = next(
            (one for one in order if name in (one, *(one + end for end in ("_bucket", "_sum", "_count")))), name
        )
        if not order or order[-1] != base:
            assert base not in order
            order.append(base)


def test_a_family_of_which_the_first_process_has_nothing_yet_stands_in_one_piece_too() -> None:
    head = "# HELP x Of x.\n# TYPE x histogram\n"
    first = f"{head}# TYPE z gauge\nz 1\n"
    then = f'{head}x_bucket{{le="+Inf"}} 1\nx_count 1\nx_sum 2\n'

    assert merge([Exposition("a", first), Exposition("b", then)]) == (
        f'{head}x_bucket{{process="b",le="+Inf"}} 1\nx_count{{process="b"}} 1\nx_sum{{process="b"}} 2\n'
        '# TYPE z gauge\nz{process="a"} 1\n'
    )


def test_a_sample_without_a_head_is_a_family_of_its_own() -> None:
    text = "# HELP x Of x.\n# TYPE x counter\nx_total 1\nxy 2\ny_total 3\n"

    assert merge([Exposition("a", text)]) == (
        '# HELP x Of x.\n# TYPE x counter\nx_total{process="a"} 1\nxy{process="a"} 2\ny_total{process="a"} 3\n'
    )


def test_remarks_are_no_heads() -> None:
    assert merge([Exposition("a", "# HELPLESS x\n# NOTE x y\n#\n# TYPE x gauge\nx 1\n")]) == (
        '# TYPE x gauge\nx{process="a"} 1\n'
    )


def test_a_process_with_a_backslash_in_its_name_is_still_one_label() -> None:
    assert merge([Exposition("a\\b", "x 1\n")]) == 'x{process="a\\\\b"} 1\n'


def test_a_step_is_counted_in_time_and_in_size() -> None:
    text = stage_text("a")

    samples = {sample.name: sample.value for one in text_string_to_metric_families(text) for sample in one.samples}
    assert samples["omnipipe_stage_step_seconds_count"] == 1
    assert samples["omnipipe_stage_step_seconds_sum"] == pytest.approx(0.01)
    assert samples["omnipipe_stage_batch_size_sum"] == 2
    assert samples["omnipipe_wire_sent_bytes_total"] == 7


def test_what_the_wire_counts_is_a_counter_but_for_what_is_in_use() -> None:
    registry = Registry(process=False)
    CoordinatorMetrics(registry, namespace="n", pipeline="p", revision="r").watch_wire(
        lambda: {"sent_bytes": 7.0, "slots_in_use": 3.0}
    )

    found = list(text_string_to_metric_families(registry.render().decode()))
    wire = {
        (sample.name, sample.labels["pipeline"], sample.labels["stage"]): (family.type, sample.value)
        for family in found
        for sample in family.samples
        if sample.name.startswith("omnipipe_wire_")
    }
    assert wire == {
        ("omnipipe_wire_sent_bytes_total", "p", ""): ("counter", 7.0),
        ("omnipipe_wire_slots_in_use", "p", ""): ("gauge", 3.0),
    }
