"""What the dashboards and alerts ask of a Prometheus, as it would be asked."""

import re
from typing import Any

from scripts.dashboards import DASHBOARDS

__all__ = ["PANELS", "VARIABLES", "filled", "looked_at", "rules_of"]

PANELS: dict[str, str] = {
    f"{board.title}: {panel.title} ({legend})": expr
    for board in DASHBOARDS
    for row in board.rows
    for panel in row.panels
    for expr, legend in panel.queries
}
"""Where it is shown -> the query."""
VARIABLES: dict[str, str] = {
    f"{board.title}: ${name}": query for board in DASHBOARDS for name, query in board.variables
}


def filled(expression: str) -> str:
    """As Grafana asks it when all of everything is chosen."""
    return re.sub(r"\$(namespace|pipeline|revision)", ".*", expression.replace("$__rate_interval", "15s"))


def rules_of(spec: dict[str, Any]) -> list[dict[str, Any]]:
    """`spec`: of a PrometheusRule."""
    return [rule for group in spec["groups"] for rule in group["rules"]]


def looked_at(spec: dict[str, Any]) -> dict[str, str]:
    """By alert: what it compares with a number, and is quiet while the comparison fails."""
    return {rule["alert"]: re.sub(r"\s[<>=!]=?\s+[0-9.e-]+", "", rule["expr"]) for rule in rules_of(spec)}
