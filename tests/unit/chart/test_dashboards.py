"""What the panels ask: of metrics that are documented, through rates, by labels that exist."""

import json
import re
from typing import Any

import pytest
from scripts.dashboards import DASHBOARDS, render_dashboards

PANELS = [
    (board.title, panel, expr)
    for board in DASHBOARDS
    for row in board.rows
    for panel in row.panels
    for expr, _ in panel.queries
]
IDS = [f"{title} {panel.title} {index}" for index, (title, panel, _) in enumerate(PANELS)]
EXPRESSIONS = [expr for _, _, expr in PANELS]


@pytest.mark.parametrize("expr", EXPRESSIONS, ids=IDS)
def test_a_query_reads_rates_and_never_lifetime_averages(expr: str) -> None:
    for metric in re.findall(r"omnipipe_\w+(?=\{)", expr):
        if metric.endswith(("_total", "_bucket")):
            assert f"rate({metric}{{" in expr
    assert not re.search(r"_sum\b|_count\b|\bavg\(", expr)
    assert ("histogram_quantile" in expr) == ("_bucket{" in expr)
    assert "_bucket{" not in expr or re.search(r"sum by \(le\b", expr)


def rendered() -> list[dict[str, Any]]:
    return [json.loads(text) for text in render_dashboards().values()]


def test_panels_do_not_lie_on_each_other() -> None:
    for board in rendered():
        cells: set[tuple[int, int]] = set()
        for place in (panel["gridPos"] for panel in board["panels"]):
            own = {(x + place["x"], y + place["y"]) for x in range(place["w"]) for y in range(place["h"])}
            assert not own & cells
            assert place["x"] + place["w"] <= 24
            cells |= own


def test_numbers_are_unique_and_units_given() -> None:
    for board in rendered():
        numbers = [panel["id"] for panel in board["panels"]]
        assert len(numbers) == len(set(numbers))
        graphs = [panel for panel in board["panels"] if panel["type"] == "timeseries"]
        assert all(panel["fieldConfig"]["defaults"]["unit"] and panel["targets"] for panel in graphs)
