"""One cluster for most of the folder: two replicas of each stage, two gateways.

A test that kills something leaves it to `heal`, which the next one's set-up calls."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.integration.holds.cluster import Cluster, Gateway, compiled, echo_manifest
from tests.leak_check import LongLived
from tests.ports import free_port


@pytest.fixture(scope="package")
def shared_cluster(long_lived: LongLived) -> Iterator[Cluster]:
    with long_lived("the shared cluster"), tempfile.TemporaryDirectory(prefix="holds-") as name:
        folder = Path(name)  # short: a socket's path has about a hundred bytes
        ports = [free_port() for _ in range(2)]

        def address(stage: str, replica: int) -> str:
            """One stage on TCP, the others on ipc; two with their engine in a thread."""
            return f"tcp://127.0.0.1:{ports[replica]}" if stage == "words" else f"ipc://{folder}/{stage}-{replica}.sock"

        plan = compiled(echo_manifest(2, threads=("pitch", "synth")), address)
        events = folder / "events"
        with Cluster(plan, folder, events_dir=events) as cluster:
            cluster.start_gateway()
            cluster.start_gateway()
            yield cluster


@pytest.fixture
def cluster(shared_cluster: Cluster) -> Cluster:
    """All of it up and idle."""
    shared_cluster.heal()
    return shared_cluster


@pytest.fixture
def gateway(cluster: Cluster) -> Gateway:
    return cluster.gateways[0]


@pytest.fixture
def other_gateway(cluster: Cluster) -> Gateway:
    return cluster.gateways[1]
