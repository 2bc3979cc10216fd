"""A million hostile packets: most of them straight at the decoder, the others through sockets at a living process.

What is counted is exact: a process says afterwards how many messages it rejected, and that is how many were wrong.
"""

import os
import random
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
import zmq
from tests.integration.wire.hostile import Packets, RawPacket
from tests.integration.wire.processes import Process, started
from tests.integration.wire.worlds import World, gateway_identity

from omnipipe.wire.codec import Packet, PacketDecoder, PacketEncoder
from omnipipe.wire.counters import Counters
from omnipipe.wire.handshake import FROM_GATEWAY, FROM_LISTENER, hello
from omnipipe.wire.messages import WIRE_VERSION, Ack, Hello, Message, Output, Refuse, Submit, Welcome
from omnipipe.wire.shm.exchange import open_exchange
from omnipipe.wire.shm.segment import SegmentError

AT_DECODER = 850_000
AT_PROCESS = 150_000
SEED = 20_240_607
PATIENT: dict[str, Any] = {"dead_after_s": 60.0}


def test_the_decoder_survives_a_million_packets_and_still_reads() -> None:
    packets = Packets(SEED)
    decoder = PacketDecoder()
    rejected = accepted = 0
    for _ in range(AT_DECODER):
        header, *frames = packets.next()
        messages, bad = decoder.decode(header, frames)
        rejected += len(bad)
        accepted += len(messages)
    assert rejected > AT_DECODER // 2
    assert accepted > AT_DECODER // 10, "some mistreated packets are still valid, or the fuzzing is too crude"
    for header, *frames in packets.valid:
        messages, bad = decoder.decode(header, frames)
        assert messages
        assert bad == []


def test_wrong_descriptors_of_shared_memory_end_nothing_and_leak_nothing() -> None:
    exchange = open_exchange(64 << 20, Counters())
    if exchange is None:
        pytest.skip("shared memory needs Linux's memfd and pidfd")
    decoder = PacketDecoder(exchange.borrow)
    for seed in range(200):
        packets = Packets(SEED + seed, share=exchange.share, borrower=os.getpid())
        exchange.flushed()
        for _ in range(100):
            header, *frames = packets.next()
            try:
                decoder.decode(header, frames, may_borrow=True)
            except SegmentError:
                pass  # a wire gives such a peer up
    exchange.close()


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World("ipc", tmp_path)
    yield world
    world.close()


class Attacker:
    """A raw DEALER that says what it likes, and knows how much of it is wrong."""

    def __init__(self, context: "zmq.Context[zmq.Socket[bytes]]", address: str, *, says_hello: bool) -> None:
        self.socket = context.socket(zmq.DEALER)
        self.socket.setsockopt(zmq.LINGER, 0)
        self.socket.setsockopt(zmq.SNDHWM, 0)
        self.socket.setsockopt(zmq.RCVTIMEO, 20_000)
        self.socket.connect(address)
        self.says_hello = says_hello
        self.wrong = 0
        if says_hello:
            self._send(_frames(hello(gateway_identity("attacker"), "a", "")))

    def attack(self, packet: RawPacket) -> None:
        messages, bad = PacketDecoder().decode(packet[0], packet[1:])
        if any(isinstance(message, Hello) for message in messages) and not self.says_hello:
            return  # by chance a real one: it would let the rest in
        self.wrong += len(bad)
        allowed: frozenset[type] = FROM_GATEWAY if self.says_hello else frozenset()
        self.wrong += sum(type(message) not in allowed for message in messages)
        self._send(packet)

    def last(self) -> None:
        """Returns when everything before has been read."""
        if self.says_hello:
            self._send(_frames(Submit("the last", "q", 1.0, {}, {}, ["text"], None, "the last")))
            while not any(_is_last(message) for message in self._receive()):
                pass

    def _receive(self) -> list[Message]:
        header, *frames = self.socket.recv_multipart()
        return PacketDecoder().decode(header, frames)[0]

    def _send(self, packet: RawPacket) -> None:
        self.socket.send_multipart(packet)


@contextmanager
def _context() -> "Iterator[zmq.Context[zmq.Socket[bytes]]]":
    context = zmq.Context()
    try:
        yield context
    finally:
        context.destroy(linger=0)


def _is_last(message: Message) -> bool:
    return isinstance(message, Output) and message.rid == "the last"


def _frames(message: Message) -> RawPacket:
    packet = Packet()
    PacketEncoder(max_message_bytes=1 << 20, inline_limit_bytes=1 << 20).add(packet, message)
    return [bytes(frame) for frame in packet.seal()]


class Friend:
    """A good peer, served all the while."""

    def __init__(self, world: World, address: str) -> None:
        self.world = world
        self.wire = world.wire(gateway_identity("friend"))
        self.wire.dial(address, "a")
        world.until(lambda: bool(world.ups(self.wire)))

    def ask(self, value: object) -> Any:
        self.world.forget_messages(self.wire)
        (peer,) = self.world.ups(self.wire)
        self.wire.send(peer, Submit("r", "q", 9.0, {}, {}, ["text"], None, value))
        self.world.until(lambda: bool(self.world.messages(self.wire)))
        (answer,) = self.world.messages(self.wire)
        assert isinstance(answer, Output)
        return answer.value


def test_a_living_process_counts_every_wrong_message_and_serves_the_others(world: World) -> None:
    address = f"ipc://{world.folder}/a.sock"
    with started(stage="a", listen=address, transport=PATIENT) as stage, _context() as context:
        friend = Friend(world, address)
        before = psutil.Process(stage.pid).memory_info().rss
        attackers = [Attacker(context, address, says_hello=n != 0) for n in range(4)]
        packets = Packets(SEED)
        for n in range(AT_PROCESS):
            attackers[n % len(attackers)].attack(packets.next())
            if n % 5000 == 0:
                assert friend.ask(n) == n
        for attacker in attackers:
            attacker.last()
        wrong = sum(attacker.wrong for attacker in attackers)
        assert wrong > AT_PROCESS // 2
        world.until(lambda: friend.ask("counters")["rejected"] >= wrong)
        assert friend.ask("counters")["rejected"] == wrong
        assert world.downs(friend.wire) == []
        assert stage.lives
        assert psutil.Process(stage.pid).memory_info().rss - before < 200 << 20


def test_a_dialler_survives_a_hostile_listener(world: World) -> None:
    gateway = world.wire(gateway_identity())
    with _context() as context:
        listener = context.socket(zmq.ROUTER)
        listener.setsockopt(zmq.LINGER, 0)
        listener.setsockopt(zmq.SNDHWM, 0)
        listener.bind(f"ipc://{world.folder}/evil.sock")
        gateway.dial(f"ipc://{world.folder}/evil.sock", "a")
        route, *_ = listener.recv_multipart()
        listener.send_multipart([route, *_frames(Welcome(WIRE_VERSION, "evil", "inline"))])
        world.until(lambda: bool(world.ups(gateway)))
        packets = Packets(SEED)
        wrong = 0
        for n in range(20_000):
            packet = packets.next()
            messages, bad = PacketDecoder().decode(packet[0], packet[1:])
            if not any(isinstance(message, Refuse) for message in messages):  # that one it believes
                wrong += len(bad) + sum(type(message) not in FROM_LISTENER for message in messages)
                listener.send_multipart([route, *packet])
            if n % 100 == 0:
                world.poll_all()
                world.forget()
        listener.send_multipart([route, *_frames(Ack("the last", "in", 0))])
        world.until(lambda: Ack("the last", "in", 0) in world.messages(gateway))
        assert gateway.counters.rejected == wrong
        assert gateway.counters.peers_lost == 0


def test_bytes_that_are_not_even_the_sockets_protocol_do_no_harm(world: World) -> None:
    with started(stage="a", listen="tcp://127.0.0.1:0", transport=PATIENT) as stage:
        friend = Friend(world, stage.listening)
        port = int(stage.listening.rpartition(":")[2])
        rng = random.Random(SEED)
        for n in range(300):
            _insult(port, rng)
            if n % 50 == 0:
                assert friend.ask(n) == n
        world.until(lambda: _descriptors(stage) < 60)
        assert friend.ask("last") == "last"


def _insult(port: int, rng: random.Random) -> None:
    greeting = b"\xff" + bytes(8) + b"\x7f\x03\x01" + b"NULL".ljust(20, b"\0") + bytes(32)
    ready = b"\x04\x19\x05READY\x0bSocket-Type\x00\x00\x00\x06DEALER"
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        start = (b"", greeting, greeting + ready)[rng.randrange(3)]
        try:
            connection.sendall(start + rng.randbytes(rng.randrange(200)))
        except OSError:
            pass  # it hung up on us, rightly


def _descriptors(process: Process) -> int:
    return psutil.Process(process.pid).num_fds()
