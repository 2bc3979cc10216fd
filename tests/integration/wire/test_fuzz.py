"""A million hostile packets: most of them straight at the decoder, the others through sockets at a living process.

What is counted is exact: a process says afterwards how many messages it rejected, and that is how many were wrong.
"""

import contextlib
import itertools
import os
import random
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from tests.integration.wire.hostile import Packets, RawPacket
from tests.integration.wire.processes import Process, started
from tests.integration.wire.worlds import World, gateway_identity, stage_identity
from tests.raw_ipc import RawPeer, listening

from omnipipe.wire.codec import Packet, PacketDecoder, PacketEncoder
from omnipipe.wire.counters import Counters
from omnipipe.wire.handshake import FROM_GATEWAY, FROM_LISTENER, hello
from omnipipe.wire.ipc.framing import preamble
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
    """Says what it likes, and knows how much of it is wrong."""

    RENEWED = 500
    """Packets: who does not say Hello is hung up on after a while,"""
    STRANGERS_BYTES = 64 << 10
    """and at once for a packet of more."""

    def __init__(self, address: str, *, says_hello: bool) -> None:
        self.address = address
        self.peer = RawPeer.dial(address)
        self.says_hello = says_hello
        self.wrong = self.sent = 0
        if says_hello:
            self.peer.send(_frames(hello(gateway_identity("attacker"), "a", "")))

    def attack(self, packet: RawPacket) -> None:
        messages, bad = PacketDecoder().decode(packet[0], packet[1:])
        if any(isinstance(message, Hello) for message in messages) and not self.says_hello:
            return  # by chance a real one: it would let the rest in
        too_large = not self.says_hello and sum(map(len, packet)) > self.STRANGERS_BYTES
        allowed: frozenset[type] = FROM_GATEWAY if self.says_hello else frozenset()
        self.wrong += 1 if too_large else len(bad) + sum(type(message) not in allowed for message in messages)
        self.sent += 1
        if too_large:
            with contextlib.suppress(BrokenPipeError):
                self.peer.send(packet)
        else:
            self.peer.send(packet)
        if too_large or (not self.says_hello and self.sent % self.RENEWED == 0):
            self.peer.close()
            self.peer = RawPeer.dial(self.address)

    def last(self) -> None:
        """Returns when everything before has been read."""
        if self.says_hello:
            self.peer.send(_frames(Submit("the last", "q", 1.0, {}, {}, ["text"], None, "the last")))
            while not any(_is_last(message) for message in self._receive()):
                pass
        self.peer.close()

    def _receive(self) -> list[Message]:
        header, *frames = self.peer.receive()
        return PacketDecoder().decode(header, frames)[0]


def _is_last(message: Message) -> bool:
    return isinstance(message, Output) and message.rid == "the last"


def _frames(message: Message) -> RawPacket:
    packet = Packet()
    PacketEncoder(max_message_bytes=4 << 20, inline_limit_bytes=1 << 20).add(packet, message)
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
    with started(stage="a", listen=address, transport=PATIENT) as stage:
        friend = Friend(world, address)
        before = psutil.Process(stage.pid).memory_info().rss
        attackers = [Attacker(address, says_hello=n != 0) for n in range(4)]
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
    address = f"ipc://{world.folder}/evil.sock"
    with listening(address) as next_guest:
        gateway.dial(address, "a")
        guest = next_guest()
        guest.receive()
        guest.send(_frames(Welcome(WIRE_VERSION, "evil", "inline")))
        world.until(lambda: bool(world.ups(gateway)))
        packets = Packets(SEED)
        wrong = 0
        for n in range(20_000):
            packet = packets.next()
            messages, bad = PacketDecoder().decode(packet[0], packet[1:])
            if not any(isinstance(message, Refuse) for message in messages):  # that one it believes
                wrong += len(bad) + sum(type(message) not in FROM_LISTENER for message in messages)
                guest.send(packet, world.poll_all)
            if n % 100 == 0:
                world.poll_all()
                world.forget()
        guest.send(_frames(Ack("the last", "in", 0)), world.poll_all)
        world.until(lambda: Ack("the last", "in", 0) in world.messages(gateway))
        assert gateway.counters.rejected == wrong
        assert gateway.counters.peers_lost == 0
        guest.close()


@pytest.mark.parametrize("greeted", [False, True])
def test_bytes_that_are_no_packets_on_a_unix_socket_cost_their_sender_the_connection(
    world: World, greeted: bool
) -> None:
    stage = world.wire(stage_identity(), listens=True)
    friend = world.wire(gateway_identity("friend"))
    friend.dial(stage.listening, "a")
    world.until(lambda: bool(world.ups(friend)))
    rng = random.Random(SEED)
    ended = 0
    for n in range(200):
        with RawPeer.dial(stage.listening) as peer:
            if greeted:
                peer.send(_frames(hello(gateway_identity(f"odd-{n}"), "a", "")))
            peer.send_bytes(b"\xff\xff\xff" + rng.randbytes(rng.randrange(8, 3000)), world.poll_all)
            ended += 1
            world.until(lambda: stage.counters.rejected >= ended)  # noqa: B023
            with pytest.raises((EOFError, ConnectionResetError)):
                while True:
                    peer.receive()
    assert stage.counters.rejected == ended, "once for each, however much it sent"
    world.until(lambda: len(world.downs(stage)) == (ended if greeted else 0))
    assert world.downs(friend) == []


def test_a_stranger_that_says_nothing_is_hung_up_on(world: World) -> None:
    stage = world.wire(stage_identity(), listens=True)
    with RawPeer.dial(stage.listening) as silent, RawPeer.dial(stage.listening) as slow:
        slow.send_bytes(b"\x40\0\0\0")  # the beginning of a packet
        world.until(lambda: silent.has_news(0) and slow.has_news(0))
        for peer in (silent, slow):
            with pytest.raises(EOFError):
                peer.receive()


def test_a_packet_that_comes_a_byte_at_a_time_or_with_many_others_is_read(world: World) -> None:
    stage = world.wire(stage_identity(), listens=True)
    with RawPeer.dial(stage.listening) as peer:
        peer.send(_frames(hello(gateway_identity("slow"), "a", "")))
        world.until(lambda: bool(world.ups(stage)))
        large = Submit("large", "q", 9.0, {}, {}, [], None, {"raw": bytes(range(256)) * 5000, "text": "y" * 70_000})
        small = [Submit(f"r{n}", "q", 9.0, {}, {}, [], None, "x" * n) for n in range(300)]
        sent = [small[0], large, *small[1:]]
        data = b"".join(_on_the_wire(_frames(message)) for message in sent)
        at = 0
        for size in itertools.chain(itertools.repeat(1, 400), (7, 4000, 1 << 20, 1 << 20)):
            peer.send_bytes(data[at : at + size], world.poll_all)
            world.poll_all()
            at += size
        peer.send_bytes(data[at:], world.poll_all)
        world.until(lambda: len(world.messages(stage)) == len(sent))
        assert world.messages(stage) == sent
        assert stage.counters.rejected == 0


def _on_the_wire(frames: RawPacket) -> bytes:
    return preamble(frames) + b"".join(frames)


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
