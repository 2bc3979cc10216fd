"""Bytes of strangers on the sockets of living processes: each lives, counts them, and goes on serving."""

import asyncio
import itertools
import random
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.integration.holds.client import Refused, ask, body
from tests.integration.holds.cluster import Cluster, Gateway, eventually
from tests.raw_ipc import RawPeer, listening

from omnipipe.wire.codec import Packet, PacketDecoder, PacketEncoder
from omnipipe.wire.messages import (
    WIRE_VERSION,
    Ack,
    Beat,
    Cancel,
    Chunk,
    Failed,
    Fed,
    Hello,
    Message,
    Output,
    Payload,
    Refuse,
    Submit,
    Welcome,
)

GREETING = b"\xff" + b"\0" * 8 + b"\x7f" + b"\x03\x01" + b"NULL".ljust(20, b"\0") + b"\0" * 32
ENCODER = PacketEncoder(max_message_bytes=1 << 20, inline_limit_bytes=1 << 20)


def packed(*messages: Message) -> list[bytes]:
    packet = Packet()
    for message in messages:
        ENCODER.add(packet, message)
    return [bytes(frame) for frame in packet.seal()]


def garbage(seed: int) -> Iterator[bytes]:
    chance = random.Random(seed)
    yield b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"
    yield GREETING
    yield GREETING[:30]
    yield GREETING + b"\xff" * 64
    yield GREETING + b"\x02\x7f\xff\xff\xff\xff\xff\xff\xff"
    yield GREETING + b"\x04\x19\x05READY" + chance.randbytes(500)
    while True:
        yield chance.randbytes(chance.randrange(1, 3000))


async def test_on_the_tcp_port_of_a_stage(cluster: Cluster, gateway: Gateway) -> None:
    stage = cluster.stages["words", 0]
    port = int(cluster.plan.stage("words").addresses[0].rpartition(":")[2])
    failed = cluster.metric("words", 0, "omnipipe_wire_handshakes_failed_total")
    bytes_of = garbage(1)
    kept = [socket.create_connection(("127.0.0.1", port), 60.0) for _ in range(10)]  # say nothing
    for _ in range(200):
        with socket.create_connection(("127.0.0.1", port), 60.0) as raw:
            raw.sendall(next(bytes_of))
    assert (await ask(gateway.port, body("still here"))).text == "still here"
    for raw in kept:
        raw.close()
    assert stage.lives
    eventually(
        lambda: cluster.metric("words", 0, "omnipipe_wire_handshakes_failed_total") >= failed + 100, "it counts them"
    )
    await _both_serve(cluster, gateway, "words")


async def test_packets_without_hello(cluster: Cluster, gateway: Gateway) -> None:
    rejected = cluster.metric("compose", 0, "omnipipe_wire_rejected_total")
    bytes_of = garbage(2)
    with RawPeer.dial(cluster.plan.stage("compose").addresses[0]) as peer:
        for number in range(500):
            peer.send([next(bytes_of) for _ in range(1 + number % 4)])
        peer.send(packed(Submit("r", "q", 9.0, {}, {}, ["text"])))
        await asyncio.to_thread(
            eventually,
            lambda: cluster.metric("compose", 0, "omnipipe_wire_rejected_total") >= rejected + 501,
            "each is counted",
        )
    await _both_serve(cluster, gateway, "compose")


async def test_a_gateway_that_talks_nonsense(cluster: Cluster, gateway: Gateway) -> None:
    """It knows the revision; what it says then is garbage or cannot be."""
    plan = cluster.plan
    bytes_of = garbage(3)

    def seen() -> float:
        names = ("omnipipe_wire_rejected_total", "omnipipe_stage_rejected_messages_total")
        return sum(cluster.metric("compose", 0, name) for name in names)

    rejected = seen()
    submits: list[Message] = [  # each is answered with Failed, those that cannot be are counted once
        Submit("a", "q", float("nan"), {"words": "x", "pitch": "y"}, {}, ["text"]),
        Submit("b", "q", 9.0, {"nobody": "x"}, {"nowhere": "tcp://127.0.0.1:1"}, ["video"]),
        Submit("c", "q", 9.0, {"words": "x", "pitch": "y"}, {"synth": "ipc:///etc/passwd"}, ["text"]),
        Submit("d", "q", 9.0, {"words": "x", "pitch": "y"}, {}, ["text"], params="no map"),
    ]
    odd: list[Message] = [
        Payload("a", "words", "pieces", {}),
        Chunk("a", "compose", "notes", -1, "x"),
        Output("a", "text", 1 << 60, "x"),
        Fed("a", "compose"),
        Failed("a", "compose", "internal", "x"),
        Hello(WIRE_VERSION, plan.pipeline, "compose", plan.revision, "again", "gateway", ""),
    ]
    harmless: list[Message] = [Ack("a", "text", 1 << 62), Ack("zz", "", -5), Cancel("never"), Beat(received=1 << 60)]
    with RawPeer.dial(plan.stage("compose").addresses[0]) as peer:
        peer.send(packed(_hello(cluster, "compose")))
        for _ in range(20):
            for message in submits + odd + harmless:
                peer.send(packed(message))
            peer.send([next(bytes_of), next(bytes_of)])
        await asyncio.to_thread(
            eventually, lambda: seen() >= rejected + 3 + 20 * (len(odd) + 1), "what cannot be is counted"
        )
        assert (await ask(gateway.port, body("still here"))).text == "still here"
    await _both_serve(cluster, gateway, "compose")


async def test_an_upstream_stage_that_sends_what_nobody_asked_for(cluster: Cluster, gateway: Gateway) -> None:
    """Payloads may overtake their Submit, so they are kept for a moment; not all of them, and not for ever."""
    stage = cluster.stages["compose", 0]
    before = stage.rss_bytes()
    said = Hello(WIRE_VERSION, "echo", "compose", cluster.plan.revision, "words-odd", "stage", "", "words")
    with RawPeer.dial(cluster.plan.stage("compose").addresses[0]) as peer:
        peer.send(packed(said))
        for number in range(30_000):
            peer.send(packed(Payload(f"never-{number}", "words", "pieces", "x" * 20_000)))
        await asyncio.to_thread(
            eventually,
            lambda: cluster.metric("compose", 0, "omnipipe_stage_orphans_dropped_total") >= 20_000,
            "most are given up",
        )
    grown = stage.rss_bytes() - before
    print(f"600 MB that nobody asked for: RSS grew by {grown / (1 << 20):.0f} MiB")
    assert grown < 192 << 20, "64 MiB are kept at most, and as much is in the hands of sockets and allocator"
    await _both_serve(cluster, gateway, "compose")


async def test_many_connections_at_once(cluster: Cluster, gateway: Gateway) -> None:
    """Each with a Hello that is refused."""
    address = cluster.plan.stage("compose").addresses[0]
    refused = cluster.metric("compose", 0, "omnipipe_wire_refused_total")
    wrong = Hello(WIRE_VERSION + 1, "other", "compose", "r", "stranger", "gateway", "")
    strangers = [RawPeer.dial(address) for _ in range(100)]
    for stranger in strangers:
        stranger.send(packed(wrong))
    await asyncio.to_thread(
        eventually,
        lambda: cluster.metric("compose", 0, "omnipipe_wire_refused_total") >= refused + len(strangers),
        "each is refused",
    )
    for stranger in strangers:
        (said,), _ = PacketDecoder().decode(stranger.receive()[0], [])
        assert isinstance(said, Refuse)
        with pytest.raises(EOFError):
            stranger.receive()
        stranger.close()
    await _both_serve(cluster, gateway, "compose")


async def test_on_the_port_of_a_gateway(cluster: Cluster, gateway: Gateway) -> None:
    bytes_of = garbage(4)
    for _ in range(100):
        with socket.create_connection(("127.0.0.1", gateway.port), 60.0) as raw:
            raw.sendall(next(bytes_of))
    assert gateway.lives
    assert (await ask(gateway.port, body("still here"))).text == "still here"
    assert "Traceback" not in gateway.text


async def test_a_stage_that_talks_nonsense_to_its_gateways(cluster: Cluster, gateway: Gateway, tmp_path: Path) -> None:
    """A third replica that is none: it asks for work and answers with whatever comes to its mind."""
    evil = f"ipc://{cluster.folder}/evil.sock"
    stages = [
        stage.model_copy(update={"addresses": (*stage.addresses, evil)}) if stage.name == "compose" else stage
        for stage in cluster.plan.stages
    ]
    path = tmp_path / "plan.json"
    path.write_text(cluster.plan.model_copy(update={"stages": tuple(stages)}).to_json())
    with _evil_stage(evil):
        victim = cluster.start_gateway(plan=path)
        eventually(lambda: victim.routable()["compose"] == 3, "it believes the evil one")
        right, end = 0, time.monotonic() + 120
        for number in itertools.count():
            if number >= 60 and right >= 10:  # two of three are well, though the evil one looks less busy
                break
            assert time.monotonic() < end, f"{right} of {number} answers were right"
            try:
                answer = await ask(victim.port, body(f"number {number}", stream=number % 2 == 0))
            except Refused as refused:
                assert refused.status in (500, 503), refused
                continue
            if answer.error is None:
                assert (answer.text, answer.done) == (f"number {number}", True)
                right += 1
        rejected = ("omnipipe_coordinator_rejected_messages_total", "omnipipe_wire_rejected_total")
        assert sum(victim.metric(name) for name in rejected) > 0
        assert victim.lives and "Traceback" not in victim.text
        assert (await ask(gateway.port, body("not disturbed"))).text == "not disturbed"
    await asyncio.to_thread(eventually, lambda: victim.routable()["compose"] == 2, "the evil one is gone")
    assert (await ask(victim.port, body("all is well"))).text == "all is well"
    assert victim.health()["in_flight"] == 0
    victim.kill()
    eventually(lambda: not cluster.loads(), "idle stages")


async def _both_serve(cluster: Cluster, gateway: Gateway, stage: str) -> None:
    """The stage's two replicas, that is: both are asked."""
    assert all(process.lives for process in cluster.stages.values())
    assert "Traceback" not in cluster.stages[stage, 0].text
    name = "omnipipe_stage_requests_total"
    done = cluster.metric(stage, 0, name, outcome="done")
    async with asyncio.timeout(60.0):
        while cluster.metric(stage, 0, name, outcome="done") == done:
            assert (await ask(gateway.port, body("hello again"))).text == "hello again"
    eventually(lambda: not cluster.loads(), "idle stages")


def _hello(cluster: Cluster, stage: str) -> Hello:
    plan = cluster.plan
    return Hello(WIRE_VERSION, plan.pipeline, stage, plan.revision, "gateway-odd", "gateway", "")


@contextmanager
def _evil_stage(address: str) -> Iterator[None]:
    ended = threading.Event()
    ready = threading.Event()

    def serve() -> None:
        with listening(address) as next_guest:
            ready.set()
            with next_guest() as guest:
                _be_evil(guest, ended)

    thread = threading.Thread(target=serve, name="evil stage")
    thread.start()
    assert ready.wait(60.0)
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _be_evil(guest: RawPeer, ended: threading.Event) -> None:
    decoder, bytes_of = PacketDecoder(), garbage(5)
    while not ended.is_set():
        if guest.has_news(0.1):
            header, *frames = guest.receive()
            messages, _ = decoder.decode(header, frames)
            for message in messages:
                if isinstance(message, Hello):
                    guest.send(packed(Welcome(WIRE_VERSION, "evil", "inline")))
                elif isinstance(message, Submit):
                    _answer(guest, message.rid, next(bytes_of))
        guest.send(packed(Beat(accepting=True)))


def _answer(guest: RawPeer, rid: str, noise: bytes) -> None:
    answers: list[list[bytes]] = [
        [noise, noise],
        packed(Fed(rid, "synth"), Failed("another", "compose", "nonsense", "x"), Beat(accepting=True)),
        packed(Submit(rid, "q", 1.0, {}, {}, [])),
        packed(Output(rid, "text", 7, "out of order")),
        packed(Output(rid, "audio", 0, "not its own"), Output(rid, "text", 0, {"no": "text"}, True, "no map")),
    ]
    for answer in answers:
        guest.send(answer)
