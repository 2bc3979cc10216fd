"""This stage's part in a walk: what a `Submit` names, checked against the Plan and turned into routes.

Most requests of a pipeline take one of a few walks to one of a few replicas, so the result is kept by what was named.
Everything in a Submit is another process's word: whatever the Plan does not have is refused, and so is an address that
the Plan does not give to that stage, lest a gateway make a stage dial anybody.
"""

from dataclasses import dataclass
from enum import Enum, auto

from omnipipe.spec.plan import EdgeKind, Plan, PlanEdge, PlanStage
from omnipipe.stage.errors import Nonsense
from omnipipe.wire.messages import Submit

__all__ = ["Leg", "LegKind", "Walk", "Walks"]

_MAX_KEPT = 1024
"""Walks remembered. Replicas to the power of targets bounds their number; beyond this all are worked out again."""


class LegKind(Enum):
    PAYLOAD = auto()
    STREAM = auto()
    OUTPUT = auto()


@dataclass(frozen=True, slots=True)
class Leg:
    """One way out: an edge to a chosen replica, or an output to the gateway."""

    kind: LegKind
    port: str
    name: str
    """The target's input, or the output."""
    target: str
    """The target stage; empty for the gateway."""
    address: str
    """Of the chosen replica; empty for the gateway."""
    window_chunks: int
    window_bytes: int
    whole: bool
    """One value is all there is: `last` goes without saying."""
    label: str
    """For metrics and events: `source>target`, `source>output`."""


@dataclass(frozen=True, slots=True)
class Walk:
    entry: bool
    """The Submit itself brings the one input."""
    payloads: dict[str, str]
    """Payload inputs to wait for -> their source stage."""
    streams: dict[str, PlanEdge]
    """Stream inputs, by input name."""
    stream_names: frozenset[str]
    legs: tuple[Leg, ...]
    by_port: dict[str, tuple[int, ...]]
    """Port -> indices of the legs it feeds."""
    ports: frozenset[str]
    inputs: int
    """Payloads and streams to wait for."""
    spoken_for: bool
    """All that is owed goes to stages that take nothing from anybody else: once they have their inputs, the gateway
    knows that this one has had its own."""


class Walks:
    """The walks through one stage."""

    def __init__(self, plan: Plan, stage: str) -> None:
        self._stage = stage
        self._upstream: dict[str, list[PlanEdge]] = {}
        self._shared = {edge.target for edge in plan.edges if edge.source != stage}
        """Stages that take something from others than this one."""
        self._downstream: dict[str, list[PlanEdge]] = {}
        for edge in plan.edges:
            if edge.target == stage:
                self._upstream.setdefault(edge.source, []).append(edge)
            if edge.source == stage:
                self._downstream.setdefault(edge.target, []).append(edge)
        self._outputs = {output.name: output for output in plan.outputs if output.stage == stage}
        self._whole_ports = {e.port for e in plan.edges if e.source == stage and e.kind is EdgeKind.PAYLOAD}
        self._stages = {planned.name: planned for planned in plan.stages}
        self._kept: dict[object, Walk] = {}

    @property
    def downstream(self) -> list[PlanStage]:
        """The stages that this one has edges to."""
        return [self._stages[name] for name in self._downstream]

    def labels(self) -> list[str]:
        """Of every leg that any walk can have."""
        return [f"{self._stage}>{name}" for name in (*self._downstream, *self._outputs)]

    def find(self, submit: Submit) -> Walk:
        """Raises Nonsense for what the Plan does not have."""
        key = (tuple(submit.sources), tuple(submit.targets.items()), tuple(submit.outputs))
        walk = self._kept.get(key)
        if walk is None:
            walk = self._work_out(submit)
            if len(self._kept) >= _MAX_KEPT:
                self._kept.clear()
            self._kept[key] = walk
        return walk

    def _work_out(self, submit: Submit) -> Walk:
        payloads: dict[str, str] = {}
        streams: dict[str, PlanEdge] = {}
        for source in submit.sources:
            for edge in self._upstream.get(source, ()):
                if edge.input in payloads or edge.input in streams:
                    raise Nonsense(f"two sources for input {edge.input!r}")
                if edge.kind is EdgeKind.PAYLOAD:
                    payloads[edge.input] = source
                else:
                    streams[edge.input] = edge
            if source not in self._upstream:
                raise Nonsense(f"no edge from {source!r}")
        if self._upstream and not submit.sources:
            raise Nonsense("no source at all for a stage that is not an entry")
        legs = (*self._edge_legs(submit.targets), *self._output_legs(submit.outputs))
        by_port: dict[str, tuple[int, ...]] = {}
        for index, leg in enumerate(legs):
            by_port[leg.port] = (*by_port.get(leg.port, ()), index)
        return Walk(
            entry=not submit.sources,
            payloads=payloads,
            streams=streams,
            stream_names=frozenset(streams),
            legs=legs,
            by_port=by_port,
            ports=frozenset(by_port),
            inputs=len(payloads) + len(streams),
            spoken_for=bool(legs) and all(leg.target and leg.target not in self._shared for leg in legs),
        )

    def _edge_legs(self, targets: dict[str, str]) -> list[Leg]:
        legs = []
        for target, address in targets.items():
            if target not in self._downstream:
                raise Nonsense(f"no edge to {target!r}")
            if not _is_address_of(self._stages[target], address):
                raise Nonsense(f"{address[:200]!r} is no address of {target!r}")
            for edge in self._downstream[target]:
                kind = LegKind.PAYLOAD if edge.kind is EdgeKind.PAYLOAD else LegKind.STREAM
                label = f"{self._stage}>{target}"
                windows = (edge.window_chunks, edge.window_bytes)
                legs.append(Leg(kind, edge.port, edge.input, target, address, *windows, kind is LegKind.PAYLOAD, label))
        return legs

    def _output_legs(self, outputs: list[str]) -> list[Leg]:
        legs = []
        for name in dict.fromkeys(outputs):
            output = self._outputs.get(name)
            if output is None:
                raise Nonsense(f"no output {name!r}")
            windows = (output.window_chunks, output.window_bytes)
            whole = output.port in self._whole_ports
            legs.append(Leg(LegKind.OUTPUT, output.port, name, "", "", *windows, whole, f"{self._stage}>{name}"))
        return legs


def _is_address_of(stage: PlanStage, address: str) -> bool:
    """Local addresses exactly; on TCP any host with the planned port, for replicas are found by name."""
    scheme, _, rest = address.partition("://")
    host, _, port = rest.rpartition(":")
    for planned in stage.addresses:
        if planned == address:
            return True
        planned_scheme, _, planned_rest = planned.partition("://")
        if (
            planned_scheme in ("tcp", "dns+tcp")
            and scheme == "tcp"
            and host
            and port == planned_rest.rpartition(":")[2]
        ):
            return True
    return False
