"""Every manifest in `broken/` gets exactly the findings that stand beside it: what a person sees when it is wrong."""

from pathlib import Path

import pytest

from omnipipe.families.registry import family_names, find_family
from omnipipe.spec.errors import ManifestError
from omnipipe.spec.reader import read_pipelines

BROKEN = sorted((Path(__file__).parent / "broken").glob("*.yaml"))


def test_there_are_broken_manifests() -> None:
    assert len(BROKEN) >= 30


@pytest.mark.parametrize("file", BROKEN, ids=lambda file: file.stem)
def test_the_findings_are_the_expected_ones(file: Path) -> None:
    expected = file.with_suffix(".txt").read_text(encoding="utf-8")

    with pytest.raises(ManifestError) as caught:
        read_pipelines(file.read_bytes(), file.name, find_family, family_names())

    assert f"{caught.value}\n" == expected
    assert all(finding.line is not None for finding in caught.value.findings)
