"""The manifests under examples/ are valid as they stand."""

from pathlib import Path

import pytest

from omnipipe.families.registry import family_names, find_family
from omnipipe.spec.reader import read_pipelines

FOLDER = Path(__file__).parents[3] / "examples"
EXAMPLES = sorted(FOLDER.glob("*.yaml"))


def test_the_first_example_is_eight_lines() -> None:
    assert len((FOLDER / "echo.yaml").read_text(encoding="utf-8").splitlines()) == 8


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.stem)
def test_an_example_is_valid(file: Path) -> None:
    for one in read_pipelines(file.read_bytes(), file.name, find_family, family_names()):
        assert one.compile(lambda stage, replica: f"ipc:///{stage}-{replica}").stages
