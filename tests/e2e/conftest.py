"""A cluster with our images in it, and namespaces in it. Slow parts are made once a session and kept where that is
possible: see docs/cluster-on-one-machine.md."""

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest
from scripts.cluster.errors import CannotRun
from scripts.cluster.programs import require
from tests.e2e.cluster import Cluster, Images, given_cluster, make_images, own_cluster
from tests.e2e.namespace import Namespace
from tests.e2e.pipelines import Pipelines
from tests.e2e.release import installed

E2E_HANG_S = 900.0
"""For one test with what its fixtures build the first time (images: minutes)."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(E2E_HANG_S))


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """That of KUBECONFIG, or this machine's own: reused when it stands, else started, and then removed at the end."""
    try:
        found = given_cluster()
        if found is not None:
            yield found
            return
        require(["buildah", "debootstrap"])
        with own_cluster() as own:
            yield own
    except CannotRun as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def images(cluster: Cluster) -> Images:
    """Of this tree, where the cluster's nodes find them. The stage's is without torch: these tests need none."""
    return make_images(cluster)


@pytest.fixture
def namespace(cluster: Cluster) -> Iterator[Namespace]:
    """A namespace of the test's own, under the restricted Pod Security Standard."""
    name = f"e2e-{secrets.token_hex(4)}"
    own = Namespace(cluster, name)
    own.create()
    try:
        yield own
    finally:
        own.delete()


@pytest.fixture(scope="session")
def operator(cluster: Cluster, images: Images) -> Iterator[None]:
    """Omnipipe's chart is installed."""
    with installed(cluster, images):
        yield


@pytest.fixture
def pipelines(operator: None, namespace: Namespace) -> Pipelines:
    """Of the test's own namespace, with an operator that looks after them."""
    return Pipelines(namespace)
