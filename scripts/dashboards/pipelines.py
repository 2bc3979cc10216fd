"""What a pipeline's gateway and stages are doing."""

from typing import Final

from scripts.dashboards.panels import PIPELINE, RATE, Dashboard, Panel, Row, quantile, rate, spread

__all__ = ["PIPELINES"]

_GATEWAY_ERRORS = f'{PIPELINE},outcome=~"server_error|timeout"'

PIPELINES: Final = Dashboard(
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
                    ((rate("outcome", "omnipipe_gateway_requests_total"), "{{outcome}}"),),
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
                    ((rate("reason", "omnipipe_coordinator_admission_refused_total"), "{{reason}}"),),
                    "queue_full and queue_timeout: more work than the pipeline can do. no_replica: a stage is away.",
                ),
                Panel(
                    "Retries",
                    "reqps",
                    ((rate("reason", "omnipipe_coordinator_retries_total"), "{{reason}}"),),
                    "Attempts that were started again, unseen by the client.",
                ),
                Panel(
                    "Tokens",
                    "short",
                    (
                        (rate("pipeline", "omnipipe_gateway_prompt_tokens_total"), "{{pipeline}} in"),
                        (rate("pipeline", "omnipipe_gateway_completion_tokens_total"), "{{pipeline}} out"),
                    ),
                    "A second.",
                ),
            ),
        ),
        Row(
            "Latency",
            (
                Panel("Time to first token", "s", spread("omnipipe_gateway_time_to_first_token_seconds")),
                Panel("Between tokens", "s", spread("omnipipe_gateway_inter_token_seconds")),
                Panel(
                    "End to end",
                    "s",
                    spread(
                        "omnipipe_gateway_request_duration_seconds",
                        f'{PIPELINE},route=~"/v1/chat/completions|/v1/completions"',
                    ),
                    "Whole requests on the routes that generate.",
                ),
                Panel("Time to first sound", "s", spread("omnipipe_gateway_time_to_first_audio_seconds")),
                Panel("Wait for admission", "s", spread("omnipipe_coordinator_queue_seconds")),
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
                Panel("Step time, p95", "s", ((quantile(0.95, "omnipipe_stage_step_seconds", "stage"), "{{stage}}"),)),
                Panel(
                    "Jobs in a step, p50",
                    "short",
                    ((quantile(0.5, "omnipipe_stage_batch_size", "stage"), "{{stage}}"),),
                ),
                Panel(
                    "Requests by how they ended in the stage",
                    "reqps",
                    ((rate("stage, outcome", "omnipipe_stage_requests_total"), "{{stage}} {{outcome}}"),),
                ),
            ),
        ),
        Row(
            "Edges",
            (
                Panel(
                    "Latency, p95",
                    "s",
                    ((quantile(0.95, "omnipipe_edge_ack_seconds", "edge"), "{{edge}}"),),
                    "From sending a chunk until its consumer has taken it: a slow consumer shows on the edge into it. "
                    "Of streams that are longer than half a window; shorter ones, and payloads, are not acknowledged.",
                ),
                Panel("Bytes", "Bps", ((rate("edge", "omnipipe_edge_bytes_total"), "{{edge}}"),)),
                Panel("Chunks", "cps", ((rate("edge", "omnipipe_edge_chunks_total"), "{{edge}}"),)),
            ),
        ),
        Row(
            "Cohorts",
            (
                Panel(
                    "Requests by revision",
                    "reqps",
                    ((rate("revision", "omnipipe_coordinator_requests_total"), "{{revision}}"),),
                    "During a rollout: the split between the old cohort and the new one.",
                    stacked=True,
                ),
                Panel(
                    "Time to first token by revision, p95",
                    "s",
                    ((quantile(0.95, "omnipipe_gateway_time_to_first_token_seconds", "revision"), "{{revision}}"),),
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
                        (rate("stage", "omnipipe_stage_rejected_messages_total"), "{{stage}}"),
                        (rate("pipeline", "omnipipe_coordinator_rejected_messages_total"), "gateway of {{pipeline}}"),
                    ),
                    "A second. Anything but zero: something else talks to these ports, or versions differ.",
                ),
                Panel(
                    "Late",
                    "short",
                    ((rate("pipeline", "omnipipe_coordinator_late_messages_total"), "{{pipeline}}"),),
                    "A second. Some are normal after a retry or a cancel.",
                ),
            ),
        ),
    ),
)
