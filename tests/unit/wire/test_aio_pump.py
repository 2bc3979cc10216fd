"""The pump on a real loop, over the fake network."""

import asyncio

from omnipipe.wire.aio import AioPump
from omnipipe.wire.fake import FakeNetwork
from omnipipe.wire.messages import Ack, Submit
from omnipipe.wire.port import Event, Identity, Peer, PeerUp, Received, Role


async def until(condition: "asyncio.Event") -> None:
    async with asyncio.timeout(20):
        await condition.wait()


async def test_requests_and_answers_flow_both_ways_without_a_timer() -> None:
    network = FakeNetwork()
    stage = network.wire(Identity("p", "r", Role.STAGE, "a-0", "a"), "fake://a")
    gateway = network.wire(Identity("p", "r", Role.GATEWAY, "gw"))
    peers: dict[str, Peer] = {}
    got: list[int] = []
    up, done = asyncio.Event(), asyncio.Event()

    def on_stage(events: list[Event]) -> None:
        for event in events:
            if isinstance(event, Received) and isinstance(event.message, Submit):
                for seq in range(3):
                    stage_pump.send(event.peer, Ack(event.message.rid, "text", seq))

    def on_gateway(events: list[Event]) -> None:
        for event in events:
            if isinstance(event, PeerUp):
                peers["a"] = event.peer
                up.set()
            elif isinstance(event, Received) and isinstance(event.message, Ack):
                got.append(event.message.seq)
                if len(got) == 30:
                    done.set()

    stage_pump = AioPump(stage, on_stage, tick_s=3600)
    gateway_pump = AioPump(gateway, on_gateway, tick_s=3600)
    stage_pump.start()
    gateway_pump.start()
    gateway.dial("fake://a", "a")
    gateway_pump.wake_flush()
    await until(up)
    for n in range(10):
        gateway_pump.send(peers["a"], Submit(f"r{n}", f"r{n}", 1.0, {}, {}, ["text"]))
    await until(done)
    assert got == [0, 1, 2] * 10
    assert gateway.counters.sent_packets == 1, "one iteration of the loop, one packet"
    gateway_pump.stop()
    stage_pump.stop()
    gateway_pump.stop()
    stage.close()
    gateway.close()


async def test_wake_from_a_thread_turns_the_pump() -> None:
    network = FakeNetwork()
    wire = network.wire(Identity("p", "r", Role.GATEWAY, "gw"))
    pump = AioPump(wire, lambda _: None, tick_s=3600)
    polls = 0
    polled = asyncio.Event()
    poll = wire.poll

    def counting(timeout_s: float) -> list[Event]:
        nonlocal polls
        polls += 1
        if polls > 1:
            polled.set()
        return poll(timeout_s)

    wire.poll = counting  # type: ignore[method-assign]
    pump.start()
    await asyncio.to_thread(wire.wake)
    await until(polled)
    pump.stop()
    wire.close()
