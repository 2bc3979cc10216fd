"""What tells a Prometheus (of its operator) where our metrics are. Pods are named, not the client Service: the gateway
of a cohort that is leaving still finishes streams, and of those nothing would be counted."""

from typing import Final

from omnipipe.spec.cluster_fields import Monitoring
from omnipipe_operator.children import names
from omnipipe_operator.children.labels import Component, selector
from omnipipe_operator.children.meta import metadata
from omnipipe_operator.children.owner import Owner
from omnipipe_operator.observed import Object

__all__ = ["POD_MONITOR", "pod_monitors"]

POD_MONITOR: Final = "monitoring.coreos.com/v1/PodMonitor"


def pod_monitors(owner: Owner, spec: Monitoring) -> list[Object]:
    return [
        _monitor(owner, spec, names.stage_monitor(owner.name), Component.STAGE, "admin"),
        _monitor(owner, spec, names.gateway(owner.name), Component.GATEWAY, "http"),
    ]


def _monitor(owner: Owner, spec: Monitoring, name: str, component: Component, port: str) -> Object:
    endpoint: Object = {"port": port, "path": "/metrics", "honorLabels": True}  # ours say stage and revision themselves
    if spec.interval is not None:
        endpoint["interval"] = spec.interval
    head = metadata(owner, name, component)
    head["labels"] = {**spec.labels, **head["labels"]}
    return {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PodMonitor",
        "metadata": head,
        "spec": {
            "selector": {"matchLabels": selector(owner.name, component)},
            "podMetricsEndpoints": [endpoint],
        },
    }
