from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.integration.local.served import ECHO, Served


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    path = tmp_path / "echo.yaml"
    path.write_text(ECHO)
    return path


@pytest.fixture
def served(tmp_path: Path, manifest: Path) -> Iterator[Served]:
    """The echo pipeline on a free port; still starting."""
    with Served(tmp_path, manifest, "--port", "0") as serving:
        yield serving
