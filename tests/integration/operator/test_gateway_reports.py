"""The operator asks gateways over HTTP what they can route to: which pods it asks, how often, and what no answer is."""

from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from omnipipe_operator.children.labels import COMPONENT, Component
from omnipipe_operator.gateways import Gateways
from omnipipe_operator.observed import Object

STAGE = {"name": "words", "replicas": 2, "routable": 1, "queued": 0, "running": 3}
WELL = {"pipeline": "p", "revision": "abc", "ready": True, "draining": False, "in_flight": 0, "stages": [STAGE]}


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


class Site:
    """A gateway that answers what it is told to, and counts."""

    def __init__(self) -> None:
        self.answer: Any = {"status": "healthy", "pipelines": [WELL]}
        self.status = 200
        self.asked = 0
        self.port = 0

    async def health(self, request: web.Request) -> web.Response:
        self.asked += 1
        return web.json_response(self.answer, status=self.status)

    def pod(self, uid: str = "u-1", component: str = Component.GATEWAY, phase: str = "Running") -> Object:
        container = {"name": "gateway", "ports": [{"name": "http", "containerPort": self.port}]}
        return {
            "metadata": {"name": f"pod-{uid}", "uid": uid, "labels": {COMPONENT: component}},
            "spec": {"containers": [container]},
            "status": {"phase": phase, "podIP": "127.0.0.1"},
        }


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    found = Site()
    app = web.Application()
    app.router.add_get("/health", found.health)
    runner = web.AppRunner(app)
    await runner.setup()
    tcp = web.TCPSite(runner, "127.0.0.1", 0)
    await tcp.start()
    found.port = runner.addresses[0][1]
    yield found
    await runner.cleanup()


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as found:
        yield found


async def test_each_running_gateway_pod_is_asked_and_nobody_else(site: Site, session: aiohttp.ClientSession) -> None:
    pods = [site.pod("a"), site.pod("b"), site.pod("c", Component.STAGE), site.pod("d", phase="Pending")]

    found = await Gateways(session).reports(pods, settled=False)

    assert sorted(report.pod for report in found) == ["pod-a", "pod-b"]
    assert all((report.revision, report.ready) == ("abc", True) for report in found)
    assert found[0].stages["words"].routable == 1
    assert site.asked == 2


@pytest.mark.parametrize(("settled", "fresh_s"), [(False, 1.0), (True, 5.0)])
async def test_a_settled_pipelines_gateways_are_asked_less_often(
    site: Site, session: aiohttp.ClientSession, settled: bool, fresh_s: float
) -> None:
    clock = Clock()
    gateways = Gateways(session, clock)
    await gateways.reports([site.pod()], settled=settled)
    clock.now = fresh_s - 0.1
    [report] = await gateways.reports([site.pod()], settled=settled)
    assert (report.revision, site.asked) == ("abc", 1)

    clock.now = fresh_s
    await gateways.reports([site.pod()], settled=settled)

    assert site.asked == 2


async def test_what_is_known_of_a_pod_goes_with_it(site: Site, session: aiohttp.ClientSession) -> None:
    gateways = Gateways(session, Clock())
    await gateways.reports([site.pod("a"), site.pod("b")], settled=True)

    gateways.forget(["b"])
    await gateways.reports([site.pod("a"), site.pod("b")], settled=True)

    assert site.asked == 3


async def test_a_gateway_that_is_not_ready_tells_what_it_lacks(site: Site, session: aiohttp.ClientSession) -> None:
    site.status, site.answer = 503, {"status": "unhealthy", "pipelines": [{**WELL, "ready": False}]}

    [report] = await Gateways(session).reports([site.pod()], settled=False)

    assert not report.ready


@pytest.mark.parametrize("answer", ["well", {"pipelines": []}, {"pipelines": [{"revision": "abc"}]}, [1], None])
async def test_an_answer_that_is_none_is_no_report(site: Site, session: aiohttp.ClientSession, answer: Any) -> None:
    site.answer = answer

    assert await Gateways(session).reports([site.pod()], settled=False) == ()


async def test_nobody_there_is_no_report_of_it_and_the_others_are_told(
    site: Site, session: aiohttp.ClientSession
) -> None:
    dead = site.pod("dead")
    dead["spec"]["containers"][0]["ports"][0]["containerPort"] = 1  # nobody listens there

    [report] = await Gateways(session).reports([dead, site.pod("a")], settled=False)

    assert report.pod == "pod-a"
