"""A pipeline whose stages a test plays by hand, over the in-memory network: no sockets, no sleeping, a clock to
turn."""

import random
from dataclasses import dataclass, field
from typing import TypedDict, Unpack

from omnipipe.coordinator.dispatch import Dispatcher
from omnipipe.coordinator.flight import OmniRequest, Piece
from omnipipe.coordinator.inbound import Inbound
from omnipipe.coordinator.live import LiveFlight, Phase
from omnipipe.errors import RequestError
from omnipipe.observe.events import NoEvents
from omnipipe.observe.metrics import CoordinatorMetrics, Registry
from omnipipe.spec.plan import EdgeKind, GatewayPlan, Plan, PlanEdge, PlanOutput, PlanStage, TransportPlan
from omnipipe.wire.fake import FakeNetwork, FakeWire
from omnipipe.wire.messages import Ack, Cancel, Failed, Fed, Message, Output, Submit
from omnipipe.wire.port import Identity, Peer, PeerUp, Received, Role
from omnipipe.wire.value import Value


def stage(name: str, replicas: int = 1, *, needs: frozenset[str] = frozenset(), max_running: int = 256) -> PlanStage:
    addresses = tuple(f"fake://{name}-{i}" for i in range(replicas))
    return PlanStage(name=name, program="p:P", addresses=addresses, needs_input=needs, max_running=max_running)


def edge(source: str, target: str, kind: EdgeKind = EdgeKind.PAYLOAD) -> PlanEdge:
    return PlanEdge(source=source, target=target, port=f"to_{target}", input=f"from_{source}", kind=kind, type="json")


def output(name: str, stage: str, *, window_chunks: int = 4, window_bytes: int = 8 << 20) -> PlanOutput:
    return PlanOutput(
        name=name, stage=stage, port=name, type=name, window_chunks=window_chunks, window_bytes=window_bytes
    )


class Limits(TypedDict, total=False):
    """Fields of `GatewayPlan`."""

    max_in_flight: int
    max_queued: int
    queue_timeout_s: float
    request_timeout_s: float
    max_retries: int


def make_plan(
    stages: list[PlanStage],
    edges: list[PlanEdge],
    outputs: list[PlanOutput],
    **limits: Unpack[Limits],
) -> Plan:
    limits.setdefault("max_in_flight", 8)
    limits.setdefault("max_queued", 8)
    return Plan(
        pipeline="p",
        revision="r1",
        family="test",
        stages=tuple(stages),
        edges=tuple(edges),
        outputs=tuple(outputs),
        gateway=GatewayPlan(served_names=("p",), **limits),
        transport=TransportPlan(stalled_after_s=5.0),
    )


def chain(replicas: int = 1, *, max_running: int = 256, window_chunks: int = 4, **limits: Unpack[Limits]) -> Plan:
    """first -> second -> third, which owes `text`."""
    names = ("first", "second", "third")
    return make_plan(
        [stage(name, replicas, max_running=max_running) for name in names],
        [edge("first", "second"), edge("second", "third")],
        [output("text", "third", window_chunks=window_chunks)],
        **limits,
    )


def omni(replicas: int = 1) -> Plan:
    """ingest -> (left, right, eye for an image) -> compose, which owes `text` ~> synth, which owes `audio`."""
    names = ("ingest", "left", "right", "compose", "synth")
    return make_plan(
        [stage(name, replicas) for name in names] + [stage("eye", replicas, needs=frozenset({"image"}))],
        [edge("ingest", name) for name in ("left", "right", "eye")]
        + [edge(name, "compose") for name in ("left", "right", "eye")]
        + [edge("compose", "synth", EdgeKind.STREAM)],
        [output("text", "compose"), output("audio", "synth")],
    )


def ask(request_id: str = "q", *, outputs: tuple[str, ...] = ("text",), **more: object) -> OmniRequest:
    return OmniRequest(
        request_id=request_id,
        value={"say": "hello"},
        inputs=frozenset({"text"}),
        outputs=frozenset(outputs),
        **more,  # type: ignore[arg-type]
    )


@dataclass
class Clock:
    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


@dataclass(eq=False)
class Replica:
    """One stage process, played by a test."""

    stage: str
    address: str
    wire: FakeWire
    gateways: list[Peer] = field(default_factory=list)
    submits: dict[str, tuple[Peer, Submit]] = field(default_factory=dict)
    cancels: list[str] = field(default_factory=list)
    cuts: list[tuple[str, str]] = field(default_factory=list)
    """(rid, target) of those cancels that are for one edge alone."""
    acks: list[Ack] = field(default_factory=list)

    def listen(self) -> None:
        for event in self.wire.poll(0):
            match event:
                case PeerUp(peer):
                    self.gateways.append(peer)
                case Received(peer, Submit() as submit):
                    self.submits[submit.rid] = (peer, submit)
                case Received(_, Cancel(target=target) as cancel) if target:
                    self.cuts.append((cancel.rid, target))
                case Received(_, Cancel() as cancel):
                    self.cancels.append(cancel.rid)
                case Received(_, Ack() as ack):
                    self.acks.append(ack)

    def rid(self, request_id: str = "q") -> str:
        """Of the latest attempt."""
        return [rid for rid, (_, submit) in self.submits.items() if submit.request_id == request_id][-1]

    def say(self, message: Message, to: Peer | None = None) -> None:
        rid = getattr(message, "rid", "")
        self.wire.send(to or self.submits[rid][0], message)

    def fed(self, rid: str | None = None) -> None:
        self.say(Fed(rid or self.rid(), self.stage))

    def out(
        self,
        seq: int,
        value: Value = "x",
        *,
        output: str = "text",
        last: bool = False,
        rid: str | None = None,
        fed: bool = False,
    ) -> None:
        meta = {"finish_reason": "stop"} if last else None
        self.say(Output(rid or self.rid(), output, seq, value, last, meta, fed))

    def fail(
        self, *, kind: str = "internal", retryable: bool = False, rid: str | None = None, target: str = ""
    ) -> None:
        self.say(Failed(rid or self.rid(), self.stage, kind, "it broke", retryable, target=target))

    def load(
        self, *, running: int = 0, queued: int = 0, step_s: float = 0.0, accepting: bool = True, progress: int = 0
    ) -> None:
        self.wire.set_load(progress=progress, step_s=step_s, queued=queued, running=running, accepting=accepting)


class Gateway:
    def __init__(self, world: "World", name: str) -> None:
        plan = world.plan
        self.wire = world.network.wire(Identity(plan.pipeline, plan.revision, Role.GATEWAY, name), clock=world.clock)
        self.metrics = CoordinatorMetrics(Registry(), namespace="n", pipeline="p", revision="r1")
        self.dispatcher = Dispatcher(
            plan,
            self.wire,
            self.metrics,
            NoEvents(),
            send=self.wire.send,
            clock=world.clock,
            name=name,
        )
        self.inbound = Inbound(self.dispatcher, self.metrics)
        for part in plan.stages:
            self.dispatcher.set_addresses(part.name, part.addresses)


class World:
    """One or more gateways and all replicas of a plan, connected."""

    def __init__(self, plan: Plan, *, gateways: int = 1, start: bool = True) -> None:
        self.plan = plan
        self.clock = Clock()
        self.network = FakeNetwork()
        self.replicas: dict[str, Replica] = {}
        self.gateways = [Gateway(self, f"g{i}") for i in range(gateways)]
        self.dead: list[str] = []
        if start:
            for part in plan.stages:
                for address in part.addresses:
                    self.boot(address)
            self.run()

    @property
    def dispatcher(self) -> Dispatcher:
        return self.gateways[0].dispatcher

    @property
    def metrics(self) -> CoordinatorMetrics:
        return self.gateways[0].metrics

    def boot(self, address: str) -> Replica:
        name = address.removeprefix("fake://").rpartition("-")[0]
        identity = Identity(self.plan.pipeline, self.plan.revision, Role.STAGE, f"{address}#{len(self.dead)}", name)
        replica = Replica(name, address, self.network.wire(identity, listen=address, clock=self.clock))
        self.replicas[address] = replica
        return replica

    def kill(self, address: str) -> None:
        self.dead.append(address)
        self.network.kill(self.replicas.pop(address).wire)

    def __getitem__(self, name: str) -> Replica:
        """`third-1`, or `third` for its first."""
        return self.replicas[f"fake://{name}" if "-" in name else f"fake://{name}-0"]

    def run(self) -> None:
        """Until nobody has anything more to say."""
        for _ in range(6):
            for gateway in self.gateways:
                if events := gateway.wire.poll(0):
                    gateway.inbound.handle(events)
            for replica in list(self.replicas.values()):
                replica.listen()

    def run_shuffled(self, rng: random.Random) -> None:
        """One turn in some order."""
        ends: list[Gateway | Replica] = [*self.gateways, *self.replicas.values()]
        rng.shuffle(ends)
        for end in ends:
            if isinstance(end, Gateway):
                end.inbound.handle(end.wire.poll(0))
            else:
                end.listen()

    def after(self, seconds: float) -> None:
        """Time passes, and the timers go off."""
        self.clock.now += seconds
        for gateway in self.gateways:
            gateway.dispatcher.sweep()
        self.run()

    def open(self, request: OmniRequest | None = None, gateway: int = 0) -> LiveFlight:
        flight = self.gateways[gateway].dispatcher.open(request or ask())
        self.run()
        return flight

    def holders(self, request_id: str = "q") -> dict[str, Replica]:
        """Stage -> the replica that the latest attempt of a request is on."""
        latest: dict[str, tuple[int, Replica]] = {}
        for replica in self.replicas.values():
            for rid, (_, submit) in replica.submits.items():
                number = int(rid.rpartition(".")[2], 16)
                if submit.request_id == request_id and number >= latest.get(replica.stage, (-1, replica))[0]:
                    latest[replica.stage] = (number, replica)
        return {name: replica for name, (_, replica) in latest.items()}


def running(flight: LiveFlight) -> bool:
    return flight.phase is Phase.RUNNING


def texts(pieces: list[Piece] | None) -> list[Value]:
    assert pieces is not None, "nothing is ready"
    return [piece.value for piece in pieces]


def end_of(flight: LiveFlight) -> str:
    """How it ended, read to the end: `result`, `result in part`, an error kind, or `open`."""
    try:
        while pieces := flight.take():
            pass
    except RequestError as error:
        return error.kind.value
    if pieces is None:
        return "open"
    return "result" if flight.lost is None else "result in part"
