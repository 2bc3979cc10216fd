"""Two hundred peers that come, borrow memory, and are killed: afterwards everything is as it was."""

import gc
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import psutil
import pytest
from tests.integration.wire.worlds import World, gateway_identity, stage_identity

from omnipipe.wire.messages import Output
from omnipipe.wire.socket_wire import SocketWire
from omnipipe.wire.value import Tensor

CYCLES = 200


class Forker:
    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def fork(self, name: str, address: str) -> int:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"name": name, "dial": address}) + "\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())


@contextmanager
def forker() -> Iterator[Forker]:
    command = [sys.executable, "-m", "tests.integration.wire.forker"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield Forker(process)
        finally:
            process.kill()


def _own_bytes(process: psutil.Process) -> int:
    """Without the blocks of the ring, which stay for the next tensor."""
    memory = process.memory_info()
    return int(memory.rss - memory.shared)


@pytest.fixture(params=["ipc", "tcp"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    world = World(request.param, tmp_path)
    yield world
    world.close()


def test_peers_that_come_and_are_killed_leave_nothing(world: World) -> None:
    stage = world.wire(stage_identity(), listens=True)
    assert isinstance(stage, SocketWire)
    me = psutil.Process()
    tensor = Tensor.from_numpy(np.zeros(1 << 18, "f4"))
    after_warm_up = (0, 0)
    with forker() as forks:
        for n in range(CYCLES):
            pid = forks.fork(f"gw-{n}", stage.listening)
            world.until(lambda: bool(world.ups(stage)))
            for seq in range(3):
                stage.send(world.ups(stage)[0], Output("r", "audio", seq, tensor))
            stage.poll(0)
            os.kill(pid, signal.SIGKILL)
            world.until(lambda: bool(world.downs(stage)))
            world.forget()
            if n == 20:
                after_warm_up = (me.num_fds(), _own_bytes(me))
    world.until(lambda: stage.counters.shm_bytes_in_use == 0)
    world.until(lambda: me.num_fds() <= after_warm_up[0])
    gc.collect()
    assert _own_bytes(me) - after_warm_up[1] < 16 << 20
    assert stage.counters.peers_up == stage.counters.peers_lost == CYCLES
    assert stage.counters.rejected == 0


def test_wires_that_come_and_go_leave_nothing(world: World) -> None:
    me = psutil.Process()
    stage = world.wire(stage_identity(), listens=True)
    fds = 0
    for n in range(60):
        gateway = world.wire(gateway_identity(f"gw-{n}"))
        gateway.dial(stage.listening, "a")
        world.until(lambda: bool(world.ups(gateway)))  # noqa: B023
        world.drop(gateway)
        world.until(lambda: bool(world.downs(stage)))
        world.forget()
        if n == 10:
            fds = me.num_fds()
    world.until(lambda: me.num_fds() <= fds)
