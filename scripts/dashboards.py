"""The chart's Grafana dashboards, from a few lines a panel: what is asked and in which unit. Grafana's own format is
what `make generate` writes into the chart; nobody edits that.

Quantiles are read from `rate()` of buckets by `le`, never from lifetime sums: those would show the past for ever.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

__all__ = ["DASHBOARDS", "Dashboard", "Panel", "Row", "render_dashboards"]

PIPELINE: Final = 'namespace=~"$namespace",pipeline=~"$pipeline",revision=~"$revision"'
RATE: Final = "[$__rate_interval]"

_COLUMNS = 24
_HEIGHT = 8
_SOURCE: Final = {"type": "prometheus", "uid": "${datasource}"}


@dataclass(frozen=True, slots=True)
class Panel:
    title: str
    unit: str
    """Grafana's id: `s`, `reqps`, `short`, `Bps`, `percentunit` ..."""
    queries: tuple[tuple[str, str], ...]
    """Expression and legend."""
    text: str = ""
    """What it means, and what to do about it."""
    stacked: bool = False


@dataclass(frozen=True, slots=True)
class Row:
    title: str
    panels: tuple[Panel, ...]


@dataclass(frozen=True, slots=True)
class Dashboard:
    uid: str
    title: str
    variables: tuple[tuple[str, str], ...]
    """Name and the query for its values; each may be many, or all."""
    rows: tuple[Row, ...]


def _rate(by: str, metric: str, where: str = PIPELINE) -> str:
    return f"sum by ({by}) (rate({metric}{{{where}}}{RATE}))"


def _quantile(of: float, metric: str, by: str = "", where: str = PIPELINE) -> str:
    labels = f"le, {by}" if by else "le"
    return f"histogram_quantile({of}, sum by ({labels}) (rate({metric}_bucket{{{where}}}{RATE})))"


def _spread(metric: str, where: str = PIPELINE) -> tuple[tuple[str, str], ...]:
    return tuple(
        (_quantile(of, metric, where=where), name) for of, name in ((0.5, "p50"), (0.95, "p95"), (0.99, "p99"))
    )


_GATEWAY_ERRORS = f'{PIPELINE},outcome=~"server_error|timeout"'

_PIPELINES = Dashboard(
    "omnipipe-pipelines",
    "Omnipipe / Pipelines",
    (
        ("namespace", "label_values(omnipipe_coordinator_in_flight, namespace)"),
        ("pipeline", 'label_values(omnipipe_coordinator_in_flight{namespace=~"$namespace"}, pipeline)'),
        (
            "revision",
            'label_values(omnipipe_coordinator_in_flight{namespace=~"$namespace",pipeline=~"$pipeline"}, revision)',
        ),
    ),
    (
        Row(
            "Requests",
            (
                Panel(
                    "Requests by how they ended",
                    "reqps",
                    ((_rate("outcome", "omnipipe_gateway_requests_total"), "{{outcome}}"),),
                    stacked=True,
                ),
                Panel(
                    "Share of errors",
                    "percentunit",
                    (
                        (
                            f"sum(rate(omnipipe_gateway_requests_total{{{_GATEWAY_ERRORS}}}{RATE}))"
                            f" / sum(rate(omnipipe_gateway_requests_total{{{PIPELINE}}}{RATE}))",
                            "errors",
                        ),
                    ),
                    "Server errors, errors inside streams and timeouts, of all requests.",
                ),
                Panel(
                    "In flight and waiting",
                    "short",
                    (
                        (f"sum(omnipipe_coordinator_in_flight{{{PIPELINE}}})", "in flight"),
                        (f"sum(omnipipe_coordinator_queued{{{PIPELINE}}})", "wait for admission"),
                    ),
                ),
                Panel(
                    "Not admitted",
                    "reqps",
                    ((_rate("reason", "omnipipe_coordinator_admission_refused_total"), "{{reason}}"),),
                    "queue_full and queue_timeout: more work than the pipeline can do. no_replica: a stage is away.",
                ),
                Panel(
                    "Retries",
                    "reqps",
                    ((_rate("reason", "omnipipe_coordinator_retries_total"), "{{reason}}"),),
                    "Attempts that were started again, unseen by the client.",
                ),
                Panel(
                    "Tokens",
                    "short",
                    (
                        (_rate("pipeline", "omnipipe_gateway_prompt_tokens_total"), "{{pipeline}} in"),
                        (_rate("pipeline", "omnipipe_gateway_completion_tokens_total"), "{{pipeline}} out"),
                    ),
                    "A second.",
                ),
            ),
        ),
        Row(
            "Latency",
            (
                Panel("Time to first token", "s", _spread("omnipipe_gateway_time_to_first_token_seconds")),
                Panel("Between tokens", "s", _spread("omnipipe_gateway_inter_token_seconds")),
                Panel(
                    "End to end",
                    "s",
                    _spread(
                        "omnipipe_gateway_request_duration_seconds",
                        f'{PIPELINE},route=~"/v1/chat/completions|/v1/completions"',
                    ),
                    "Whole requests on the routes that generate.",
                ),
                Panel("Time to first sound", "s", _spread("omnipipe_gateway_time_to_first_audio_seconds")),
                Panel("Wait for admission", "s", _spread("omnipipe_coordinator_queue_seconds")),
            ),
        ),
        Row(
            "Stages",
            (
                Panel("Running", "short", ((f"sum by (stage) (omnipipe_stage_running{{{PIPELINE}}})", "{{stage}}"),)),
                Panel(
                    "Queued",
                    "short",
                    ((f"sum by (stage) (omnipipe_stage_queued{{{PIPELINE}}})", "{{stage}}"),),
                    "The stage whose queue grows is the one to scale.",
                ),
                Panel(
                    "Replicas by state",
                    "short",
                    (
                        (
                            f"max by (stage, state) (omnipipe_coordinator_replicas{{{PIPELINE}}})",
                            "{{stage}} {{state}}",
                        ),
                    ),
                    "As the gateways see them.",
                ),
                Panel("Step time, p95", "s", ((_quantile(0.95, "omnipipe_stage_step_seconds", "stage"), "{{stage}}"),)),
                Panel(
                    "Jobs in a step, p50",
                    "short",
                    ((_quantile(0.5, "omnipipe_stage_batch_size", "stage"), "{{stage}}"),),
                ),
                Panel(
                    "Requests by how they ended in the stage",
                    "reqps",
                    ((_rate("stage, outcome", "omnipipe_stage_requests_total"), "{{stage}} {{outcome}}"),),
                ),
            ),
        ),
        Row(
            "Edges",
            (
                Panel(
                    "Latency, p95",
                    "s",
                    ((_quantile(0.95, "omnipipe_edge_ack_seconds", "edge"), "{{edge}}"),),
                    "From sending a chunk until its consumer has taken it: a slow consumer shows on the edge into it. "
                    "Of streams that are longer than half a window; shorter ones, and payloads, are not acknowledged.",
                ),
                Panel("Bytes", "Bps", ((_rate("edge", "omnipipe_edge_bytes_total"), "{{edge}}"),)),
                Panel("Chunks", "cps", ((_rate("edge", "omnipipe_edge_chunks_total"), "{{edge}}"),)),
            ),
        ),
        Row(
            "Cohorts",
            (
                Panel(
                    "Requests by revision",
                    "reqps",
                    ((_rate("revision", "omnipipe_coordinator_requests_total"), "{{revision}}"),),
                    "During a rollout: the split between the old cohort and the new one.",
                    stacked=True,
                ),
                Panel(
                    "Time to first token by revision, p95",
                    "s",
                    ((_quantile(0.95, "omnipipe_gateway_time_to_first_token_seconds", "revision"), "{{revision}}"),),
                ),
                Panel(
                    "Routable replicas by revision",
                    "short",
                    (
                        (
                            "sum by (revision) (max by (namespace, pipeline, revision, stage) "
                            f'(omnipipe_coordinator_replicas{{{PIPELINE},state="routable"}}))',
                            "{{revision}}",
                        ),
                    ),
                ),
            ),
        ),
        Row(
            "Messages that made no sense",
            (
                Panel(
                    "Rejected",
                    "short",
                    (
                        (_rate("stage", "omnipipe_stage_rejected_messages_total"), "{{stage}}"),
                        (_rate("pipeline", "omnipipe_coordinator_rejected_messages_total"), "gateway of {{pipeline}}"),
                    ),
                    "A second. Anything but zero: something else talks to these ports, or versions differ.",
                ),
                Panel(
                    "Late",
                    "short",
                    ((_rate("pipeline", "omnipipe_coordinator_late_messages_total"), "{{pipeline}}"),),
                    "A second. Some are normal after a retry or a cancel.",
                ),
            ),
        ),
    ),
)

_OWN: Final = 'namespace=~"$namespace"'

_OPERATOR = Dashboard(
    "omnipipe-operator",
    "Omnipipe / Operator",
    (("namespace", "label_values(omnipipe_operator_leader, namespace)"),),
    (
        Row(
            "Work",
            (
                Panel(
                    "Looks at pipelines",
                    "ops",
                    ((_rate("result", "omnipipe_operator_reconcile_total", _OWN), "{{result}}"),),
                    "settled: nothing was to be written. error: tried again, later and later.",
                    stacked=True,
                ),
                Panel(
                    "Time of a look",
                    "s",
                    _spread("omnipipe_operator_reconcile_duration_seconds", _OWN),
                    "Writes included.",
                ),
                Panel(
                    "Waiting for a look",
                    "short",
                    ((f"sum(omnipipe_operator_queue_depth{{{_OWN}}})", "pipelines"),),
                ),
                Panel(
                    "Longest wait for a look",
                    "s",
                    ((f"max(omnipipe_operator_queue_oldest_seconds{{{_OWN}}})", "longest"),),
                ),
                Panel(
                    "Pipelines by condition",
                    "short",
                    (
                        (
                            f"max by (condition, status) (omnipipe_operator_pipelines{{{_OWN}}})",
                            "{{condition}}={{status}}",
                        ),
                    ),
                ),
                Panel(
                    "Leaders",
                    "short",
                    ((f"sum(omnipipe_operator_leader{{{_OWN}}})", "leaders"),),
                    "One for each installation.",
                ),
            ),
        ),
        Row(
            "API server",
            (
                Panel(
                    "Calls",
                    "reqps",
                    ((_rate("verb, code", "omnipipe_operator_api_requests_total", _OWN), "{{verb}} {{code}}"),),
                    "Code 0: no answer.",
                ),
                Panel(
                    "Writes",
                    "wps",
                    ((_rate("kind, verb", "omnipipe_operator_writes_total", _OWN), "{{verb}} {{kind}}"),),
                    "Zero while nothing changes.",
                ),
                Panel(
                    "Watch events",
                    "cps",
                    ((_rate("kind", "omnipipe_operator_watch_events_total", _OWN), "{{kind}}"),),
                ),
            ),
        ),
    ),
)

DASHBOARDS: Final[Sequence[Dashboard]] = (_PIPELINES, _OPERATOR)


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
