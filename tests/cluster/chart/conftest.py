import secrets
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.cluster.chart.asked import Asked
from tests.cluster.chart.helm import Helm, find_helm
from tests.cluster.controlplane import ControlPlane
from tests.cluster.namespace import Namespace
from tests.cluster.programs import find_programs

KINDS = Path(__file__).parent / "kinds.yaml"
OWNERS_ARE_CHECKED = "--enable-admission-plugins=OwnerReferencesPermissionEnforcement"
"""As some distributions have it: who says that an object blocks the deletion of its owner needs a right over that."""


@pytest.fixture(scope="session")
def helm_program() -> Path:
    found = find_helm()
    if isinstance(found, str):
        pytest.skip(found)
    return found


@pytest.fixture
def helm(helm_program: Path, tmp_path: Path) -> Helm:
    """Without a cluster."""
    return Helm(helm_program, tmp_path)


@pytest.fixture(scope="session")
def bare(helm_program: Path) -> Iterator[ControlPlane]:
    """A control plane that has never heard of us: the chart brings our kinds."""
    programs = find_programs()
    if isinstance(programs, str):
        pytest.skip(programs)
    with tempfile.TemporaryDirectory(prefix="chart-") as name:
        folder = Path(name)
        with ControlPlane(programs, folder, KINDS, [OWNERS_ARE_CHECKED, *Asked(folder).flags]) as running:
            yield running


@pytest.fixture
def asked(bare: ControlPlane) -> Asked:
    """What service accounts ask of that control plane."""
    return Asked(bare.folder)


@pytest.fixture
def live(helm_program: Path, tmp_path: Path, bare: ControlPlane) -> Helm:
    """With that control plane."""
    return Helm(helm_program, tmp_path, bare.kubeconfig)


@pytest.fixture
def system(bare: ControlPlane) -> Iterator[Namespace]:
    """A namespace for a release, which lets only pods of the restricted standard in."""
    name = f"system-{secrets.token_hex(4)}"
    made = Namespace(bare, name)
    made.kubectl("create", "namespace", name)
    made.kubectl("label", "namespace", name, "pod-security.kubernetes.io/enforce=restricted")
    yield made
    made.kubectl("delete", "namespace", name, "--wait=false")
