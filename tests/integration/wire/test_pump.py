"""The pump over real sockets, on both event loops, without the timer's help: no wake-up is lost."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
import uvloop
from tests.integration.wire.worlds import gateway_identity, stage_identity

from omnipipe.spec.plan import TransportPlan
from omnipipe.wire.aio import AioPump
from omnipipe.wire.messages import Ack, Output, Submit
from omnipipe.wire.port import Event, Peer, PeerUp, Received
from omnipipe.wire.socket_wire import SocketWire

ROUNDS = 3000
NO_TIMER = 3600.0
uvloop.new_event_loop().close()  # libuv's first loop opens a pipe for signals that stays for the life of the process
PLAN = TransportPlan(heartbeat_s=60, dead_after_s=600)


class Stage:
    def __init__(self, wire: SocketWire) -> None:
        self.pump = AioPump(wire, self.on_events, tick_s=NO_TIMER)

    def on_events(self, events: list[Event]) -> None:
        for event in events:
            if isinstance(event, Received) and isinstance(event.message, Submit):
                for seq in range(3):
                    self.pump.send(event.peer, Output(event.message.rid, "text", seq, "word", seq == 2))


class Gateway:
    def __init__(self, wire: SocketWire) -> None:
        self.pump = AioPump(wire, self.on_events, tick_s=NO_TIMER)
        self.up: asyncio.Future[Peer] = asyncio.get_running_loop().create_future()
        self.finished: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.asked = 0
        self.answered = 0

    def ask(self, peer: Peer) -> None:
        if self.asked < ROUNDS:
            self.pump.send(peer, Submit(f"r{self.asked}", "q", 9.0, {}, {}, ["text"]))
            self.asked += 1

    def on_events(self, events: list[Event]) -> None:
        for event in events:
            if isinstance(event, PeerUp):
                self.up.set_result(event.peer)
            elif isinstance(event, Received) and isinstance(event.message, Output):
                self.pump.send(event.peer, Ack(event.message.rid, "text", event.message.seq))
                if event.message.last:
                    self.answered += 1
                    self.ask(event.peer)
        if self.answered == ROUNDS and not self.finished.done():
            self.finished.set_result(None)


async def talk(address: str) -> None:
    stage_wire = SocketWire(stage_identity(), address, PLAN)
    gateway_wire = SocketWire(gateway_identity(), None, PLAN)
    stage, gateway = Stage(stage_wire), Gateway(gateway_wire)
    stage.pump.start()
    gateway.pump.start()
    try:
        async with asyncio.timeout(120):
            gateway_wire.dial(stage_wire.listening, "a")
            gateway.pump.wake_flush()
            peer = await gateway.up
            for _ in range(4):
                gateway.ask(peer)
            gateway.pump.wake_flush()
            await gateway.finished
        assert stage_wire.counters.rejected == gateway_wire.counters.rejected == 0
    finally:
        for pump in (stage.pump, gateway.pump):
            pump.stop()
        for wire in (stage_wire, gateway_wire):
            wire.close()


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
@pytest.mark.parametrize("kind", ["ipc", "tcp"])
def test_thousands_of_rounds_without_a_timer(kind: str, run: Callable[..., None], tmp_path: Path) -> None:
    run(talk(f"ipc://{tmp_path}/a.sock" if kind == "ipc" else "tcp://127.0.0.1:0"))
