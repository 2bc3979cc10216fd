"""A gateway on loopback, over pipelines that a test scripts: real uvicorn, real HTTP, no stages."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass

from openai import AsyncOpenAI

from omnipipe.coordinator.fake import FakeCoordinator, Script
from omnipipe.coordinator.flight import OmniRequest
from omnipipe.families.echo.requests import EchoRequests
from omnipipe.families.requests import Requests
from omnipipe.gateway.app import create_app
from omnipipe.gateway.served import Served
from omnipipe.gateway.server import Server, open_listener
from omnipipe.gateway.settings import GatewaySettings
from omnipipe.observe.metrics import Registry
from omnipipe.spec.plan import EdgeKind, GatewayPlan, Plan, PlanEdge, PlanOutput, PlanStage

__all__ = ["Running", "eventually", "fake_plan", "fake_served", "sample", "serving"]

DEADLINE_S = 60.0
"""For anything that takes a fraction of a second on an idle machine."""


async def eventually(look: Callable[[], object], what: str) -> None:
    end = asyncio.get_running_loop().time() + DEADLINE_S
    while not look():
        if asyncio.get_running_loop().time() > end:
            raise AssertionError(f"not within {DEADLINE_S:.0f} s: {what}")
        await asyncio.sleep(0.005)


def fake_plan(*names: str, outputs: Sequence[str] = ("text", "audio")) -> Plan:
    stages = ("compose", "synth")
    return Plan(
        pipeline=names[0],
        revision="r1",
        family="echo",
        stages=tuple(
            PlanStage(name=name, type=name, program="none:None", addresses=(f"ipc:///nowhere/{name}",))
            for name in stages
        ),
        edges=(PlanEdge(source="compose", target="synth", port="n", input="n", kind=EdgeKind.STREAM, type="json"),),
        outputs=tuple(PlanOutput(name=name, stage="compose", port=name, type=name) for name in outputs),
        gateway=GatewayPlan(served_names=names),
    )


def fake_served(
    script: Script | Callable[[OmniRequest], Script] = (),
    *names: str,
    outputs: Sequence[str] = ("text", "audio"),
    requests: Requests | None = None,
    admit_delay_s: float = 0.0,
) -> tuple[Served, FakeCoordinator]:
    plan = fake_plan(*(names or ("echo",)), outputs=outputs)
    coordinator = FakeCoordinator(plan, script, admit_delay_s=admit_delay_s)
    return Served(plan, coordinator, requests or EchoRequests()), coordinator


@dataclass(frozen=True)
class Running:
    port: int
    registry: Registry

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def openai(self, key: str = "none") -> AsyncOpenAI:
        """The official SDK, without the retries that would hide what is tested."""
        return AsyncOpenAI(base_url=f"{self.url}/v1", api_key=key, max_retries=0, timeout=DEADLINE_S)

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), DEADLINE_S)


def sample(registry: Registry, series: str) -> float:
    """The sum of the series `name{label="value",...}`, whatever other labels they have; 0 when there are none."""
    name, _, wanted = series.removesuffix("}").partition("{")
    total = 0.0
    for line in registry.render().decode().splitlines():
        found, _, value = line.rpartition(" ")
        found, _, labels = found.removesuffix("}").partition("{")
        if found == name and {*filter(None, wanted.split(","))} <= {*labels.split(",")}:
            total += float(value)
    return total


@asynccontextmanager
async def serving(
    pipelines: Sequence[Served], settings: GatewaySettings | None = None, registry: Registry | None = None
) -> AsyncIterator[Running]:
    settings = settings or GatewaySettings(port=0, access_log=False)
    registry = registry or Registry()
    listener = open_listener(settings)
    port: int = listener.getsockname()[1]
    server = Server(create_app(pipelines, settings, registry=registry), settings)
    listening = asyncio.Event()
    with closing(listener):
        async with asyncio.TaskGroup() as group:
            group.create_task(server.run_on(listener, listening.set))
            await listening.wait()
            try:
                yield Running(port, registry)
            finally:
                server.stop(now=True)
