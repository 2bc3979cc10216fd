"""What the operator is doing."""

from typing import Final

from scripts.dashboards.panels import Dashboard, Panel, Row, rate, spread

__all__ = ["OPERATOR"]

_OWN: Final = 'namespace=~"$namespace"'

OPERATOR: Final = Dashboard(
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
                    ((rate("result", "omnipipe_operator_reconcile_total", _OWN), "{{result}}"),),
                    "settled: nothing was to be written. error: tried again, later and later.",
                    stacked=True,
                ),
                Panel(
                    "Time of a look",
                    "s",
                    spread("omnipipe_operator_reconcile_duration_seconds", _OWN),
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
                    ((rate("verb, code", "omnipipe_operator_api_requests_total", _OWN), "{{verb}} {{code}}"),),
                    "Code 0: no answer.",
                ),
                Panel(
                    "Writes",
                    "wps",
                    ((rate("kind, verb", "omnipipe_operator_writes_total", _OWN), "{{verb}} {{kind}}"),),
                    "Zero while nothing changes.",
                ),
                Panel(
                    "Watch events",
                    "cps",
                    ((rate("kind", "omnipipe_operator_watch_events_total", _OWN), "{{kind}}"),),
                ),
            ),
        ),
    ),
)
