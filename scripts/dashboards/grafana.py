"""Dashboards in Grafana's own format."""

import json
from collections.abc import Iterator, Sequence
from typing import Any, Final

from scripts.dashboards.operators import OPERATOR
from scripts.dashboards.panels import Dashboard, Panel, Row
from scripts.dashboards.pipelines import PIPELINES

__all__ = ["DASHBOARDS", "render_dashboards"]

_COLUMNS = 24
_HEIGHT = 8
_SOURCE: Final = {"type": "prometheus", "uid": "${datasource}"}

DASHBOARDS: Final[Sequence[Dashboard]] = (PIPELINES, OPERATOR)


def render_dashboards() -> dict[str, str]:
    """File name -> JSON, as Grafana imports it."""
    return {
        f"{one.uid.removeprefix('omnipipe-')}.json": json.dumps(_rendered(one), indent=1) + "\n" for one in DASHBOARDS
    }


def _rendered(dashboard: Dashboard) -> dict[str, Any]:
    return {
        "uid": dashboard.uid,
        "title": dashboard.title,
        "tags": ["omnipipe"],
        "editable": True,
        "schemaVersion": 39,
        "time": {"from": "now-1h", "to": "now"},
        "refresh": "30s",
        "templating": {"list": [_datasource(), *(_variable(name, query) for name, query in dashboard.variables)]},
        "panels": list(_panels(dashboard.rows)),
    }


def _datasource() -> dict[str, Any]:
    return {"name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus"}


def _variable(name: str, query: str) -> dict[str, Any]:
    return {
        "name": name,
        "type": "query",
        "datasource": _SOURCE,
        "definition": query,
        "query": {"query": query, "refId": name},
        "refresh": 2,  # whenever the time range changes
        "sort": 1,
        "multi": True,
        "includeAll": True,
        "allValue": ".*",
        "current": {"text": "All", "value": "$__all"},
    }


def _panels(rows: Sequence[Row]) -> Iterator[dict[str, Any]]:
    number, top = 0, 0
    for row in rows:
        number += 1
        place = {"x": 0, "y": top, "w": _COLUMNS, "h": 1}
        yield {"id": number, "type": "row", "title": row.title, "gridPos": place, "collapsed": False, "panels": []}
        top += 1
        across = min(3, len(row.panels))
        width = _COLUMNS // across
        for index, panel in enumerate(row.panels):
            number += 1
            down, right = divmod(index, across)
            place = {"x": right * width, "y": top + down * _HEIGHT, "w": width, "h": _HEIGHT}
            yield _panel(panel, number, place)
        top += -(-len(row.panels) // across) * _HEIGHT


def _panel(panel: Panel, number: int, place: dict[str, int]) -> dict[str, Any]:
    stacking = {"mode": "normal" if panel.stacked else "none", "group": "A"}
    return {
        "id": number,
        "type": "timeseries",
        "title": panel.title,
        "description": panel.text,
        "datasource": _SOURCE,
        "gridPos": place,
        "fieldConfig": {
            "defaults": {
                "unit": panel.unit,
                "min": 0,
                "custom": {"fillOpacity": 20 if panel.stacked else 0, "showPoints": "never", "stacking": stacking},
            },
            "overrides": [],
        },
        "options": {
            "legend": {"displayMode": "table", "placement": "bottom", "calcs": ["lastNotNull", "max"]},
            "tooltip": {"mode": "multi", "sort": "desc"},
        },
        "targets": [
            {"refId": chr(ord("A") + index), "datasource": _SOURCE, "expr": expr, "legendFormat": legend, "range": True}
            for index, (expr, legend) in enumerate(panel.queries)
        ],
    }
