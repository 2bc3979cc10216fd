"""A family from a package of somebody's own that has gone wrong: whose fault it is, in a line, before anything runs."""

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from omnipipe.cli.errors import CommandError
from omnipipe.cli.exits import Exit
from omnipipe.cli.manifests import check_file
from omnipipe.families.echo.graph import FAMILY as ECHO
from omnipipe.families.registry import FamilyUnusable, family_names, find_family, load_requests
from omnipipe.spec.errors import ManifestError

MANIFEST = (
    "apiVersion: omnipipe.dev/v1alpha1\nkind: OmniPipeline\nmetadata: {name: mine}\nspec: {model: {family: %s}}\n"
)
PACKAGE = """
from dataclasses import replace
from omnipipe.families.echo.graph import FAMILY as ECHO
MUTE = replace(ECHO, name="mute", outputs=())
"""


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    info = tmp_path / "odd_families-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: odd-families\nVersion: 1.0\n", encoding="utf-8")
    points = "[omnipipe.families]\nmute = odd_families:MUTE\nabsent = odd_families:ABSENT\n"
    (info / "entry_points.txt").write_text(points, encoding="utf-8")
    (tmp_path / "odd_families.py").write_text(PACKAGE, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "odd_families", raising=False)
    find_family.cache_clear()
    family_names.cache_clear()
    yield
    find_family.cache_clear()
    family_names.cache_clear()


def manifest(folder: Path, family: str) -> Path:
    path = folder / "mine.yaml"
    path.write_text(MANIFEST % family, encoding="utf-8")
    return path


@pytest.mark.usefixtures("installed")
def test_a_manifest_of_a_family_that_cannot_be_loaded(tmp_path: Path) -> None:
    with pytest.raises(
        CommandError, match='the family "absent" of the package odd-families cannot be loaded'
    ) as caught:
        check_file(manifest(tmp_path, "absent"))
    assert caught.value.code is Exit.INVALID


@pytest.mark.usefixtures("installed")
def test_a_family_without_outputs_is_not_valid(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="the mute family has no output: nobody would see its work"):
        check_file(manifest(tmp_path, "mute"))


@pytest.mark.parametrize(
    ("requests", "reason"),
    [
        ("omnipipe.families.nowhere:Requests", "ModuleNotFoundError: No module named 'omnipipe.families.nowhere'"),
        ("omnipipe.families.echo.requests:Nobody", "AttributeError: "),
        ("omnipipe.families.echo.requests", "AttributeError: "),
        ("omnipipe.engines.program:Job", "TypeError: "),
    ],
)
def test_requests_that_cannot_be_loaded_are_named(requests: str, reason: str) -> None:
    with pytest.raises(FamilyUnusable) as caught:
        load_requests(replace(ECHO, name="mine", requests=requests))
    assert str(caught.value).startswith(f'the family "mine" cannot load its requests {requests}: {reason}')
