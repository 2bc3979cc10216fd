"""A gateway process of its own, and the echo pipeline's stage processes behind it when a test wants them."""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.integration.gateway.serving import DEADLINE_S

from omnipipe.families.registry import family_names, find_family
from omnipipe.gateway.server import open_listener
from omnipipe.gateway.settings import GatewaySettings
from omnipipe.spec.compiler import compile_plan
from omnipipe.spec.plan import Plan
from omnipipe.spec.reader import read_object

__all__ = ["GatewayProcess", "echo_plan", "echo_stages", "gateway_process"]

MANIFEST = {
    "apiVersion": "omnipipe.dev/v1alpha1",
    "kind": "OmniPipeline",
    "metadata": {"name": "echo"},
    "spec": {
        "model": {"family": "echo"},
        "transport": {"deadAfterSeconds": 10},  # a busy machine may keep a process quiet
    },
}


def echo_plan(folder: Path) -> Plan:
    manifest = read_object(MANIFEST, find_family, family_names())
    plan = compile_plan(manifest.pipeline, manifest.family, lambda stage, replica: f"ipc://{folder}/{stage}-{replica}")
    (folder / "plan.json").write_text(plan.to_json())
    return plan


@asynccontextmanager
async def echo_stages(plan: Plan, folder: Path) -> AsyncIterator[None]:
    async with AsyncExitStack() as stack:
        for stage in plan.stages:
            admin = f"unix:{folder}/{stage.name}.admin"
            args = ["stage", "--plan", str(folder / "plan.json"), "--stage", stage.name, "--admin", admin]
            await stack.enter_async_context(_process(args))
        yield


@dataclass
class GatewayProcess:
    process: asyncio.subprocess.Process
    port: int
    ready: asyncio.StreamReader
    """What it writes to its lifeline."""
    lifeline: asyncio.StreamWriter
    """Closing it is what the death of a supervisor looks like."""
    stdout: bytes = b""
    stderr: bytes = b""
    url: str = field(init=False)

    def __post_init__(self) -> None:
        self.url = f"http://127.0.0.1:{self.port}"

    async def is_listening(self) -> None:
        async with asyncio.timeout(DEADLINE_S):
            assert await self.ready.readline() == b"ready\n"

    async def ended(self) -> int:
        """Its exit code; `stdout` and `stderr` are whole from then on."""
        async with asyncio.timeout(DEADLINE_S):
            self.stdout, self.stderr = await self.process.communicate()
        assert self.process.returncode is not None
        return self.process.returncode

    def terminate(self) -> None:
        self.process.send_signal(signal.SIGTERM)


@asynccontextmanager
async def gateway_process(
    folder: Path, *options: str, env: dict[str, str] | None = None
) -> AsyncIterator[GatewayProcess]:
    ours, theirs = socket.socketpair()
    listener = open_listener(GatewaySettings(port=0))
    fds = (theirs.fileno(), listener.fileno())
    args = ["gateway", "--plan", str(folder / "plan.json"), "--lifeline-fd", str(fds[0]), "--listen-fd", str(fds[1])]
    with listener:
        port = listener.getsockname()[1]
        async with _process([*args, *options], pass_fds=fds, env=env) as process:
            theirs.close()
            listener.close()
            reader, writer = await asyncio.open_connection(sock=ours)
            try:
                yield GatewayProcess(process, port, reader, writer)
            finally:
                writer.close()


@asynccontextmanager
async def _process(
    args: Sequence[str], *, pass_fds: Sequence[int] = (), env: dict[str, str] | None = None
) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "omnipipe", *args),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        pass_fds=pass_fds,
        env={**os.environ, **(env or {})},
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()
