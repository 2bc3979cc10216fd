"""A whole stage in memory: loop, router and batch engine on a FakeNetwork, with a gateway and neighbours to play.

    left  ─payload─┐                ┌─payload whole──► sink
    right ─payload─┼─► mid ─────────┼─stream  notes──► tail     (window: 4 chunks, 1000 bytes)
    ticks ~stream~─┘                └─output  text           (window: 4 chunks, 1000 bytes)

Time stands still unless a test moves it. The program does what a request's params say.
"""

from collections.abc import Sequence
from typing import Any, Literal, TypeVar

from omnipipe.engines.batch import BatchEngine
from omnipipe.engines.program import Emit, Job, Outcome, StageContext
from omnipipe.observe.events import NoEvents
from omnipipe.observe.metrics import Registry, StageMetrics
from omnipipe.spec.plan import EdgeKind, EnginePlan, GatewayPlan, Plan, PlanEdge, PlanOutput, PlanStage
from omnipipe.stage.loop import StageLoop
from omnipipe.stage.router import Router
from omnipipe.stage.runner import InlineRunner
from omnipipe.wire.fake import FakeNetwork, FakeWire
from omnipipe.wire.messages import Beat, Message, Submit
from omnipipe.wire.port import Identity, Peer, Received, Role

M = TypeVar("M")

TAIL, SINK, MID = "fake://tail", "fake://sink", "fake://mid"


def plan(**mid: Any) -> Plan:
    def edge(source: str, target: str, port: str, into: str, kind: EdgeKind) -> PlanEdge:
        return PlanEdge(
            source=source,
            target=target,
            port=port,
            input=into,
            kind=kind,
            type="json",
            window_chunks=4,
            window_bytes=1000,
        )

    names = ("left", "right", "ticks", "tail", "sink")
    others = [PlanStage(name=name, program="x:X", addresses=(f"fake://{name}",)) for name in names]
    return Plan(
        pipeline="p",
        revision="r",
        family="f",
        stages=(PlanStage(**{"name": "mid", "program": "x:X", "addresses": (MID,), **mid}), *others),
        edges=(
            edge("left", "mid", "out", "left", EdgeKind.PAYLOAD),
            edge("right", "mid", "out", "right", EdgeKind.PAYLOAD),
            edge("ticks", "mid", "out", "ticks", EdgeKind.STREAM),
            edge("mid", "tail", "notes", "notes", EdgeKind.STREAM),
            edge("mid", "sink", "whole", "whole", EdgeKind.PAYLOAD),
        ),
        outputs=(PlanOutput(name="text", stage="mid", port="text", type="text", window_chunks=4, window_bytes=1000),),
        gateway=GatewayPlan(served_names=("p",)),
    )


class Scripted:
    """`params`: `emit` [[port, value, last], ...] at once, then `count` numbered chunks one a step on `port` (`size`
    bytes each), then `done`; or `copy`: each chunk of `ticks` goes out on `port`."""

    def __init__(self, context: StageContext) -> None:
        self.states: dict[str, int] = {}

    def cost(self, job: Job) -> int:
        return 1

    def run(self, batch: Sequence[Job]) -> Sequence[Outcome | Exception]:
        return [self._one(job) for job in batch]

    def _one(self, job: Job) -> Outcome | Exception:
        params = job.params
        if "fail" in params:
            return ValueError(params["fail"])
        if "copy" in params:
            ended = "ticks" in job.ended
            emits = [Emit(params["copy"], value) for value in job.chunks["ticks"]]
            return Outcome([*emits, Emit(params["copy"], "end", last=True)] if ended else emits, _then(ended))
        emits = [Emit(*emit) for emit in params.get("emit", [])]
        count = params.get("count", 0)
        if not count:
            return Outcome(emits, "wait" if params.get("wait") else "done")
        at = job.state if isinstance(job.state, int) else 0
        job.state = at + 1
        last = at + 1 == count
        chunk = Emit(params["port"], f"{at}".ljust(params.get("size", 1), "."), last, {"n": count} if last else None)
        return Outcome([*(emits if not at else []), chunk], "done" if last else "again")


def _then(ended: bool) -> Literal["done", "wait"]:
    return "done" if ended else "wait"


class Stand:
    def __init__(self, plan_: Plan | None = None, events: Any = None) -> None:
        self.now = 1000.0
        self.plan = plan_ or plan()
        self.network = FakeNetwork()
        self.wire = self._wire(Role.STAGE, "mid", listen=MID)
        self.metrics = StageMetrics(Registry(), namespace="n", pipeline="p", stage="mid", revision="r")
        self.events = events or NoEvents()
        self.router = Router(self.plan, "mid", self.wire, self.metrics, self.events)
        program = Scripted(StageContext("mid", None, {}))
        self.engine = BatchEngine(program, EnginePlan(), lambda: self.now, stage="mid")
        self.runner = InlineRunner(lambda: self.engine, lambda: self.now)
        self.loop = StageLoop(
            self.wire, self.router, self.runner, self.metrics, self.events, grace_s=30.0, clock=lambda: self.now
        )
        self.runner.start()
        self.gateway = self.add_gateway("gateway")
        self.tail = self._wire(Role.STAGE, "tail", listen=TAIL)
        self.sink = self._wire(Role.STAGE, "sink", listen=SINK)
        self.left, self.right, self.ticks = (self.add_upstream(name) for name in ("left", "right", "ticks"))
        self.said: dict[FakeWire, list[Message]] = {}
        self.router.predial(self.now)
        self.settle()
        self.said.clear()

    def add_gateway(self, name: str) -> FakeWire:
        wire = self._wire(Role.GATEWAY, "", name=name)
        wire.dial(MID, "mid")
        return wire

    def add_upstream(self, stage: str, name: str = "") -> FakeWire:
        wire = self._wire(Role.STAGE, stage, name=name)
        wire.dial(MID, "mid")
        return wire

    def _wire(self, role: Role, stage: str, listen: str | None = None, name: str = "") -> FakeWire:
        identity = Identity("p", "r", role, name or stage, stage)
        return self.network.wire(identity, listen, lambda: self.now)

    def settle(self) -> None:
        """Until nothing moves any more."""
        quiet = 0
        for _ in range(500):
            before = (self.wire.counters.sent_messages, self.wire.counters.received_messages, self.engine.load().steps)
            self.loop.turn()
            for wire in self.network.wires:
                if wire is not self.wire:
                    messages = [event.message for event in wire.poll(0) if isinstance(event, Received)]
                    self.said.setdefault(wire, []).extend(m for m in messages if not isinstance(m, Beat))
            after = (self.wire.counters.sent_messages, self.wire.counters.received_messages, self.engine.load().steps)
            quiet = quiet + 1 if before == after else 0
            if quiet == 2:
                return
        raise AssertionError("the stage does not come to rest")

    def pass_time(self, seconds: float) -> None:
        self.now += seconds
        self.settle()

    def say(self, wire: FakeWire, *messages: Message) -> None:
        """From a dialler (gateway, upstream) or a listener (tail, sink) to the stage."""
        for message in messages:
            wire.send(self.to_mid(wire), message)
        self.settle()

    def to_mid(self, wire: FakeWire) -> Peer:
        return next(peer for peer in wire.peers() if peer.address == MID or peer.stage == "mid")

    def heard(self, wire: FakeWire, kind: type[M]) -> list[M]:
        """What the stage said, taken out of what is kept."""
        kept = self.said.setdefault(wire, [])
        found: list[M] = [message for message in kept if isinstance(message, kind)]
        kept[:] = [message for message in kept if not isinstance(message, kind)]
        return found

    @property
    def rejected(self) -> int:
        return int(self.metrics.rejected.value)


def submit(rid: str = "r1", **fields: Any) -> Submit:
    """For an entry-less stage: from `left` to the gateway's `text`, unless told otherwise."""
    given: dict[str, Any] = {"sources": ["left"], "targets": {}, "outputs": ["text"], "ttl_s": 60.0, **fields}
    given.setdefault("params", {"emit": [["text", "hello", True]]})
    if not isinstance(given["sources"], dict):
        given["sources"] = {source: source for source in given["sources"]}
    return Submit(rid=rid, request_id=f"req-{rid}", **given)
