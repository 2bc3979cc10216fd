import secrets
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.cluster.audit import Audit
from tests.cluster.controlplane import ControlPlane
from tests.cluster.namespace import Namespace
from tests.cluster.programs import find_programs

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def control_plane() -> Iterator[ControlPlane]:
    """One for all tests, with our kinds in it."""
    programs = find_programs()
    if isinstance(programs, str):
        pytest.skip(programs)
    with (
        tempfile.TemporaryDirectory(prefix="control-plane-") as folder,
        ControlPlane(programs, Path(folder), ROOT / "crds", Audit(Path(folder)).flags) as running,
    ):
        yield running


@pytest.fixture(scope="session")
def audit(control_plane: ControlPlane) -> Audit:
    """Of all writes to that control plane."""
    return Audit(control_plane.folder)


@pytest.fixture(scope="session")
def default(control_plane: ControlPlane) -> Namespace:
    """For tests that leave nothing in it."""
    return Namespace(control_plane, "default")


@pytest.fixture
def namespace(control_plane: ControlPlane) -> Iterator[Namespace]:
    """A namespace of the test's own."""
    name = f"test-{secrets.token_hex(4)}"
    _applied(control_plane.kubectl("create", "namespace", name))
    yield Namespace(control_plane, name)
    _applied(control_plane.kubectl("delete", "namespace", name, "--wait=false"))


def _applied(done: subprocess.CompletedProcess[str]) -> None:
    assert done.returncode == 0, done.stderr
