"""docs/observability.md lists what there is, and nothing else."""

import re
from pathlib import Path

from omnipipe.engines.autoregressive.metrics import AutoregressiveMetrics
from omnipipe.observe.events import EventName
from omnipipe.observe.metrics import CoordinatorMetrics, GatewayMetrics, Registry, ReplicaState, StageMetrics

TEXT = (Path(__file__).parents[3] / "docs" / "observability.md").read_text()


def families() -> set[str]:
    registry = Registry(process=False)
    stage = StageMetrics(registry, namespace="n", pipeline="p", stage="s", revision="r")
    stage.edge("s>t")
    AutoregressiveMetrics(registry, namespace="n", pipeline="p", stage="s", revision="r")
    CoordinatorMetrics(registry, namespace="n", pipeline="p", revision="r").replicas("s", {ReplicaState.DOWN: 1})
    GatewayMetrics(registry).route("m", "/v1/models")
    return {
        metric.name + ("_total" if metric.type == "counter" else "")
        for metric in registry.collect()
    }  # fmt: skip


def listed(start: str, table: str) -> set[str]:
    """The names in the first column of rows that begin with `start`."""
    first_columns = re.findall(rf"^\| (`{start}.*?) \|", table, re.MULTILINE)
    return {name for column in first_columns for name in re.findall(r"`(\w+)`", column)}


def test_every_metric_is_in_the_tables_and_every_name_there_is_a_metric() -> None:
    assert listed("omnipipe_", TEXT) == families()


def test_every_event_is_in_the_table() -> None:
    assert listed("", TEXT[TEXT.index("| event | by |") :]) == set(EventName)
