"""A Coordinator over the real wire, made from a Plan and nothing else that a caller must know."""

import uuid
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from omnipipe.coordinator.coordinator import Coordinator
from omnipipe.observe.events import Events, NoEvents
from omnipipe.observe.metrics import CoordinatorMetrics, Registry
from omnipipe.spec.plan import Plan
from omnipipe.wire.keys import load_keys
from omnipipe.wire.port import Identity, Role
from omnipipe.wire.socket_wire import SocketWire

__all__ = ["connect"]


def connect(
    plan: Plan, *, curve_dir: Path | None = None, registry: Registry | None = None, events: Events | None = None
) -> Coordinator:
    """To be started (`async with`, or `start` and `close`) on the loop it will live on. Raises WireError when
    `curve_dir` does not hold the keys that a dialler needs.

    `registry` takes the coordinator's metrics; several coordinators may share one. `events` records requests."""
    identity = Identity(plan.pipeline, plan.revision, Role.GATEWAY, f"gateway-{uuid.uuid4().hex[:12]}")
    wire = SocketWire(identity, None, plan.transport, None if curve_dir is None else load_keys(curve_dir))
    metrics = CoordinatorMetrics(
        registry if registry is not None else Registry(),
        namespace=plan.namespace,
        pipeline=plan.pipeline,
        revision=plan.revision,
    )

    def counters() -> Mapping[str, float]:
        return asdict(wire.counters)

    metrics.watch_wire(counters)
    return Coordinator(plan, wire, metrics, events or NoEvents())
