from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.cluster.controlplane import ControlPlane
from tests.cluster.namespace import Namespace
from tests.cluster.operator.running import Operator


@pytest.fixture
def operator(control_plane: ControlPlane, namespace: Namespace, tmp_path: Path) -> Iterator[Operator]:
    """For the test's own namespace; looks at everything again every second."""
    with Operator(control_plane, tmp_path, namespace.name, args=("--resync-s=1",)) as running:
        running.wait_ready()
        yield running
