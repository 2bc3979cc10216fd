"""Tensors that stay where they are: over three real processes, and past the death of any of them."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from tests.integration.wire.processes import started
from tests.integration.wire.worlds import World, gateway_identity, stage_identity

from omnipipe.spec.plan import TransportPlan
from omnipipe.wire.messages import Fed, Output, Payload, Submit
from omnipipe.wire.port import Peer
from omnipipe.wire.shm.segment import is_supported
from omnipipe.wire.socket_wire import SocketWire
from omnipipe.wire.value import Tensor

pytestmark = pytest.mark.skipif(not is_supported(), reason="shared memory needs Linux's memfd and pidfd")


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World("ipc", tmp_path)
    yield world
    world.close()


def source(world: World) -> SocketWire:
    wire = world.wire(stage_identity("a"))
    assert isinstance(wire, SocketWire)
    return wire


def megabytes(count: int) -> Tensor:
    return Tensor.from_numpy(np.arange(count << 18, dtype="f4"))


def returned(world: World, wire: SocketWire) -> None:
    """Everything that was lent has come back."""
    world.until(lambda: wire.counters.shm_bytes_in_use == 0)


def counters_of(world: World, peer: str, address: str, stage: str) -> dict[str, int]:
    asker = world.wire(gateway_identity(peer))
    asker.dial(address, stage)
    world.until(lambda: bool(world.ups(asker)))
    asker.send(world.ups(asker)[0], Submit("q", "q", 1.0, {}, {}, ["text"], None, "counters"))
    world.until(lambda: bool(world.messages(asker)))
    (answer,) = world.messages(asker)
    world.drop(asker)
    assert isinstance(answer, Output)
    counters: dict[str, int] = answer.value
    return counters


def send(world: World, wire: SocketWire, peer: Peer, value: object) -> None:
    before = len(world.messages(wire))
    wire.send(peer, Payload("r", "a", "in", value))
    world.until(lambda: len(world.messages(wire)) > before)
    assert isinstance(world.messages(wire)[-1], Fed)


def test_a_tensor_goes_through_two_hops_with_one_copy_and_comes_back(world: World) -> None:
    last, middle = (f"ipc://{world.folder}/{name}.sock" for name in ("c", "b"))
    with started(stage="c", listen=last), started(stage="b", listen=middle, dial={last: "c"}):
        wire = source(world)
        wire.dial(middle, "b")
        world.until(lambda: bool(world.ups(wire)))
        (peer,) = world.ups(wire)
        world.until(lambda: counters_of(world, "asker", middle, "b")["peers_up"] >= 2)
        for _ in range(20):
            send(world, wire, peer, {"x": megabytes(4), "n": [megabytes(1), "small"]})
        assert wire.counters.shm_bytes_lent == 20 * (5 << 20)
        assert wire.counters.sent_bytes < 10_000
        passed_on = counters_of(world, "asker", middle, "b")
        assert passed_on["shm_bytes_lent"] == 20 * (5 << 20)
        assert passed_on["shm_bytes_in_use"] == 0, "the middle lends on what it borrows; nothing is its own"
        assert wire.counters.shm_bytes_in_use > 0, "the last stage keeps the last value"
        world.until(lambda: wire.counters.shm_bytes_in_use <= 3 * (5 << 20))  # blocks are used again
        send(world, wire, peer, "let go")
        returned(world, wire)


def test_what_a_dead_stage_held_comes_back(world: World) -> None:
    address = f"ipc://{world.folder}/b.sock"
    wire = source(world)
    with started(stage="b", listen=address) as stage:
        wire.dial(address, "b")
        world.until(lambda: bool(world.ups(wire)))
        send(world, wire, world.ups(wire)[0], megabytes(4))
        assert wire.counters.shm_bytes_in_use > 0
        stage.kill()
        returned(world, wire)


def test_a_stopped_stage_keeps_what_it_holds(world: World) -> None:
    address = f"ipc://{world.folder}/b.sock"
    wire = source(world)
    with started(stage="b", listen=address) as stage:
        wire.dial(address, "b")
        world.until(lambda: bool(world.ups(wire)))
        send(world, wire, world.ups(wire)[0], megabytes(4))
        stage.stop()
        world.until(lambda: bool(world.downs(wire)))
        assert wire.counters.shm_bytes_in_use > 0, "it may be reading it when it goes on"
        stage.go_on()
        world.until(lambda: len(world.ups(wire)) == 2)
        send(world, wire, world.ups(wire)[1], "let go")
        returned(world, wire)


def test_a_tensor_outlives_its_lender(world: World) -> None:
    address = f"ipc://{world.folder}/b.sock"
    gateway = world.wire(gateway_identity())
    with started(stage="b", listen=address) as stage:
        gateway.dial(address, "b")
        world.until(lambda: bool(world.ups(gateway)))
        sent = megabytes(4)
        gateway.send(world.ups(gateway)[0], Submit("r", "q", 9.0, {}, {}, ["text"], None, sent))
        world.until(lambda: bool(world.messages(gateway)))
        (output,) = world.messages(gateway)
        assert isinstance(output, Output)
        received: Tensor = output.value
        assert received.lease is not None
        stage.kill()
        world.until(lambda: bool(world.downs(gateway)))
        assert np.array_equal(received.numpy(), sent.numpy())
        with pytest.raises(ValueError, match="read-only"):
            received.numpy()[0] = 1
    del received, output
    world.forget()


def test_when_the_ring_is_full_tensors_travel_in_the_message(tmp_path: Path) -> None:
    world = World("ipc", tmp_path, TransportPlan(shm_bytes=4 << 20))
    stage, gateway, _, to_gateway = world.pair()
    for n in range(8):
        stage.send(to_gateway, Output("r", "audio", n, megabytes(1)))
    world.until(lambda: len(world.messages(gateway)) == 8)
    assert stage.counters.shm_full == 4
    for message in world.messages(gateway):
        assert isinstance(message, Output)
        assert np.array_equal(message.value.numpy(), megabytes(1).numpy())
        del message
    world.forget()
    assert isinstance(stage, SocketWire)
    returned(world, stage)
    world.close()


def test_an_allocated_tensor_is_sent_without_a_copy(world: World) -> None:
    stage, gateway, _, to_gateway = world.pair()
    assert isinstance(stage, SocketWire)
    tensor = stage.allocate("f32", (512, 512))
    assert tensor is not None
    tensor.numpy()[:] = 5
    stage.send(to_gateway, Output("r", "audio", 0, tensor))
    stage.send(to_gateway, Output("r", "audio", 1, tensor))
    world.until(lambda: len(world.messages(gateway)) == 2)
    assert stage.counters.shm_bytes_in_use == 1 << 20
    world.forget()
    del tensor
    returned(world, stage)
