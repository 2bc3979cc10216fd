"""A Prometheus that scrapes what the monitors select, on the node: every query of the dashboards and alerts finds
something there."""

import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from tests.cluster.chart.prometheus import Prometheus, find_prometheus
from tests.cluster.chart.queries import PANELS, filled, looked_at
from tests.cluster.daemon import Daemon
from tests.e2e.cluster import Cluster
from tests.e2e.namespace import Namespace, Object, eventually
from tests.e2e.pipelines import Pipelines, manifest
from tests.e2e.release import NAMESPACE, RELEASE

ENOUGH = 8
"""Rounds of traffic: each kind of request has been seen in more than one scrape."""
ANSWERED_S = 120.0


@pytest.fixture
def system(operator: None, cluster: Cluster) -> Namespace:
    """Where the operator is."""
    if cluster.machine is None:
        pytest.skip("needs pods whose addresses this machine reaches: a cluster of our own")
    return Namespace(cluster, NAMESPACE)


@pytest.fixture
def pipeline(pipelines: Pipelines) -> str:
    """With monitors; and beside it one that cannot be made, as its name is taken."""
    pipelines.namespace.kubectl("create", "service", "clusterip", "taken", "--tcp=80")
    pipelines.apply(manifest("taken"))
    name = pipelines.apply(manifest("watched", stages=[], monitoring={"enabled": True}))
    pipelines.wait(name)
    return name


@pytest.fixture
def rules(system: Namespace) -> dict[str, Any]:
    spec = system.get(f"prometheusrule/{RELEASE}")["spec"]
    assert isinstance(spec, dict)
    return spec


@pytest.fixture
def prometheus(
    pipelines: Pipelines, pipeline: str, system: Namespace, rules: dict[str, Any], tmp_path: Path
) -> Iterator[Prometheus]:
    found = find_prometheus()
    if isinstance(found, str):
        pytest.skip(found)
    targets = {**monitored_pods(pipelines.namespace, pipeline), **monitored_service(system)}
    assert {target.partition("/")[0] for target in targets} == {"watched-stages", "watched-gateway", RELEASE}
    with ExitStack() as started, pipelines.namespace.reach(pipeline) as url:
        running = Prometheus(found[0], tmp_path, targets, rules)
        started.callback(running.stop)
        running.wait()
        command = ("-m", "tests.cluster.chart.traffic", f"{url}/v1", pipeline)
        traffic = Daemon(Path(sys.executable), command, tmp_path / "traffic.log")
        started.callback(traffic.stop)
        traffic.wait_for(lambda: traffic.log.read_text().count("round") >= ENOUGH, "there has been traffic")
        yield running


def test_every_query_finds_something(prometheus: Prometheus, rules: dict[str, Any]) -> None:
    queries = {**{place: filled(query) for place, query in PANELS.items()}, **looked_at(rules)}
    waiting = dict(queries)

    def all_answered() -> bool:
        for place in [place for place, query in waiting.items() if prometheus.query(query)]:
            del waiting[place]
        return not waiting

    eventually(all_answered, lambda: f"these find something: {waiting}", ANSWERED_S)
    assert all(rule["health"] == "ok" for rule in prometheus.alerts().values())


def monitored_pods(namespace: Namespace, pipeline: str) -> dict[str, str]:
    """What the Prometheus operator would make of the PodMonitors: monitor/pod -> host:port."""
    targets = {}
    for monitor in namespace.items("podmonitors", f"omnipipe.dev/pipeline={pipeline}"):
        [endpoint] = monitor["spec"]["podMetricsEndpoints"]
        assert (endpoint["path"], endpoint["honorLabels"]) == ("/metrics", True), "as our Prometheus scrapes"
        for pod in namespace.items("pods", as_text(monitor["spec"]["selector"])):
            place = f"{monitor['metadata']['name']}/{pod['metadata']['name']}"
            targets[place] = f"{pod['status']['podIP']}:{port_of(pod, endpoint['port'])}"
    return targets


def monitored_service(system: Namespace) -> dict[str, str]:
    """The same of the ServiceMonitor: its Service's pods, by the Service's own port."""
    monitor = system.get(f"servicemonitor/{RELEASE}")
    [endpoint] = monitor["spec"]["endpoints"]
    assert endpoint["path"] == "/metrics"
    targets = {}
    for service in system.items("services", as_text(monitor["spec"]["selector"])):
        [number] = [port["targetPort"] for port in service["spec"]["ports"] if port["name"] == endpoint["port"]]
        chosen = ",".join(f"{key}={value}" for key, value in service["spec"]["selector"].items())
        for pod in system.items("pods", chosen):
            targets[f"{RELEASE}/{pod['metadata']['name']}"] = f"{pod['status']['podIP']}:{port_of(pod, number)}"
    return targets


def as_text(selector: Object) -> str:
    return ",".join(f"{key}={value}" for key, value in selector["matchLabels"].items())


def port_of(pod: Object, name: str | int) -> int:
    ports = [port for container in pod["spec"]["containers"] for port in container.get("ports", ())]
    [number] = [port["containerPort"] for port in ports if name in (port.get("name"), port["containerPort"])]
    return int(number)
