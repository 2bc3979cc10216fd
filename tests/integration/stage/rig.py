"""Real stage processes and a gateway's side of the wire.

speak ──text──► gateway        speak ~words~► sing ──audio──► gateway
"""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from omnipipe.spec.plan import (
    EdgeKind,
    EnginePlan,
    GatewayPlan,
    Placement,
    Plan,
    PlanEdge,
    PlanOutput,
    PlanStage,
    TransportPlan,
)
from omnipipe.wire.messages import Ack, Beat, Cancel, Message, Output, Submit
from omnipipe.wire.port import Identity, Peer, PeerDown, PeerUp, Received, Role
from omnipipe.wire.socket_wire import SocketWire

M = TypeVar("M")

DEADLINE_S = 60.0
"""For anything that takes a fraction of a second on an idle machine."""

_HERE = "tests.integration.stage"


def make_plan(folder: Path, placement: Placement = Placement.INLINE, **speak: Any) -> Plan:
    sockets = folder / "s"
    sockets.mkdir(mode=0o700, exist_ok=True)

    def stage(name: str, **more: Any) -> PlanStage:
        program = f"{_HERE}.programs:{name.capitalize()}"
        engine = EnginePlan(placement=placement)
        return PlanStage(
            **{
                "name": name,
                "program": program,
                "engine": engine,
                "addresses": (f"ipc://{sockets}/{name}.sock",),
                **more,
            }
        )

    return Plan(
        pipeline="p",
        revision="r",
        family="f",
        stages=(stage("speak", **speak), stage("sing")),
        edges=(
            PlanEdge(source="speak", target="sing", port="words", input="words", kind=EdgeKind.STREAM, type="text"),
        ),
        outputs=(
            PlanOutput(name="text", stage="speak", port="text", type="text"),
            PlanOutput(name="audio", stage="sing", port="audio", type="text"),
        ),
        gateway=GatewayPlan(served_names=("p",)),
        transport=TransportPlan(stalled_after_s=0.5, dead_after_s=10),  # a busy machine may keep a process quiet
    )


class Replica:
    """A stage process; killed at the end if the test did not end it."""

    def __init__(self, folder: Path, plan: Plan, stage: str, pass_fds: tuple[int, ...] = (), **settings: Any) -> None:
        self.folder = folder
        self.admin = f"unix:{folder}/s/{stage}.admin"
        self.socket = Path(plan.stage(stage).addresses[0].removeprefix("ipc://"))
        plan_path = folder / "plan.json"
        plan_path.write_text(plan.to_json())
        given = json.dumps({"admin": self.admin, **settings})
        self.log = folder / f"{stage}.log"
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", f"{_HERE}.replica", str(plan_path), stage, given], stderr=log, pass_fds=pass_fds
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.process.kill()
        self.process.wait()
        if error is not None:
            print(self.log.read_text())

    def terminate(self) -> None:
        self.process.send_signal(signal.SIGTERM)

    def exit_code(self) -> int:
        return self.process.wait(DEADLINE_S)

    def get(self, path: str) -> tuple[int, str]:
        """Status and body; 0 when nobody listens, or more wait to be let in than the system allows."""
        try:
            with socket.socket(socket.AF_UNIX) as connection:
                connection.settimeout(DEADLINE_S)
                connection.connect(self.admin.removeprefix("unix:"))
                return exchange(connection, f"GET {path} HTTP/1.1\r\nhost: x\r\n\r\n".encode())
        except (FileNotFoundError, ConnectionError, BlockingIOError):
            return 0, ""

    def metric(self, name: str, **labels: str) -> float:
        """The sum of the series that have these labels."""
        total = 0.0
        for line in self.get("/metrics")[1].splitlines():
            series, _, value = line.rpartition(" ")
            if series.partition("{")[0] == name and all(f'{key}="{text}"' in series for key, text in labels.items()):
                total += float(value)
        return total

    def rss_bytes(self) -> int:
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")


def exchange(connection: socket.socket, request: bytes) -> tuple[int, str]:
    connection.sendall(request)
    answer = b""
    while data := connection.recv(65536):
        answer += data
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split(b" ", 2)[1]), body.decode()


def eventually(look: Callable[[], object], what: str) -> None:
    end = time.monotonic() + DEADLINE_S
    while not look():
        assert time.monotonic() < end, f"not within {DEADLINE_S:.0f} s: {what}"
        time.sleep(0.005)


class Gateway:
    """Submits, acknowledges what it may, and remembers what came."""

    def __init__(self, plan: Plan, name: str = "gateway", stages: tuple[str, ...] = ("speak",)) -> None:
        self.plan = plan
        self.wire = SocketWire(Identity(plan.pipeline, plan.revision, Role.GATEWAY, name), None, plan.transport)
        self.peers: dict[str, Peer] = {}
        self.loads: dict[str, Beat] = {}
        self.messages: list[Message] = []
        self.unread: set[str] = set()
        """Requests whose outputs are not acknowledged."""
        for stage in stages:
            self.wire.dial(plan.stage(stage).addresses[0], stage)
        self.until(lambda: len(self.loads) == len(stages), f"connections to {stages}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.wire.close()

    def submit(
        self,
        rid: str,
        *,
        outputs: tuple[str, ...] = ("text",),
        ttl_s: float = 60.0,
        speak: dict[str, Any] | None = None,
    ) -> None:
        sing = "audio" in outputs
        targets = {"sing": self.plan.stage("sing").addresses[0]} if sing else {}
        said = [name for name in outputs if name == "text"]
        self.say("speak", Submit(rid, f"req-{rid}", ttl_s, {}, targets, said, speak, "hello"))
        if sing:
            self.say("sing", Submit(rid, f"req-{rid}", ttl_s, {"speak": self.peers["speak"].name}, {}, ["audio"]))

    def cancel(self, rid: str) -> None:
        for stage in self.peers:
            self.say(stage, Cancel(rid))

    def read_on(self, rid: str) -> None:
        """Acknowledges from now on what was left unread."""
        self.unread.discard(rid)
        for output in {output.output: output for output in self.got(Output, rid)}.values():
            self.say("speak", Ack(rid, output.output, output.seq))

    def say(self, stage: str, message: Message) -> None:
        self.wire.send(self.peers[stage], message)
        self.wire.flush()

    def turn(self) -> None:
        for event in self.wire.poll(0.02):
            match event:
                case PeerUp(peer):
                    self.peers[peer.stage] = peer
                case PeerDown(peer):
                    self.peers.pop(peer.stage, None)
                case Received(peer, Beat() as beat):
                    self.loads[peer.stage] = beat
                case Received(peer, message):
                    self.messages.append(message)
                    if isinstance(message, Output) and not message.last and message.rid not in self.unread:
                        self.wire.send(peer, Ack(message.rid, message.output, message.seq))

    def until(self, holds: Callable[[], object], what: str) -> None:
        end = time.monotonic() + DEADLINE_S
        while not holds():
            assert time.monotonic() < end, f"not within {DEADLINE_S:.0f} s: {what}"
            self.turn()

    def idle(self, seconds: float) -> None:
        """For what must not happen: gives it time to."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.turn()

    def got(self, kind: type[M], rid: str = "") -> list[M]:
        return [m for m in self.messages if isinstance(m, kind) and rid in ("", getattr(m, "rid", ""))]

    def wait_for(self, kind: type[M], rid: str = "") -> M:
        self.until(lambda: self.got(kind, rid), f"{kind.__name__} for {rid or 'any request'}")
        return self.got(kind, rid)[0]

    def text(self, rid: str, output: str = "text") -> list[str]:
        """All of an output, once it has ended."""
        self.until(lambda: any(o.last and o.output == output for o in self.got(Output, rid)), f"the end of {rid}")
        return [o.value for o in self.got(Output, rid) if o.output == output]
