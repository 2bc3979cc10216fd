import ast
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from omnipipe.cli import show
from omnipipe.cli.arguments import FamiliesArgs
from omnipipe.families.registry import BUILT_IN, FamilyUnusable, family_names, find_family, load_requests

PACKAGE = """
from dataclasses import replace
from omnipipe.families.echo.graph import FAMILY as ECHO
FAMILY = replace(ECHO, name="parrot", title="A family from a package of its own")
"""


@pytest.fixture
def installed_parrot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A package beside ours that offers families, as pip would lay it down."""
    info = tmp_path / "parrot_family-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: parrot-family\nVersion: 1.0\n", encoding="utf-8")
    (info / "entry_points.txt").write_text(
        "[omnipipe.families]\nparrot = parrot_family:FAMILY\nno-family = parrot_family:PACKAGE_NAME\n"
        "no-module = parrots:FAMILY\nno-attribute = parrot_family:BIRD\nother-name = parrot_family:FAMILY\n",
        encoding="utf-8",
    )
    (tmp_path / "parrot_family.py").write_text(PACKAGE + "PACKAGE_NAME = 'parrot'\n", encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "parrot_family", raising=False)
    find_family.cache_clear()
    family_names.cache_clear()
    yield
    find_family.cache_clear()
    family_names.cache_clear()


@pytest.mark.usefixtures("installed_parrot")
def test_families_of_installed_packages_are_found() -> None:
    family = find_family("parrot")

    assert family is not None
    assert family.title == "A family from a package of its own"
    assert {"echo", "parrot"} <= set(family_names())


@pytest.mark.usefixtures("installed_parrot")
@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("no-family", "cannot be used: parrot_family:PACKAGE_NAME is str, not a Family"),
        ("no-module", "cannot be loaded from parrots:FAMILY: ModuleNotFoundError: No module named 'parrots'"),
        ("no-attribute", "cannot be loaded from parrot_family:BIRD: AttributeError: "),
        ("other-name", 'cannot be used: parrot_family:FAMILY says that its name is "parrot"'),
    ],
)
def test_what_a_package_offers_and_cannot_be_used_is_told_with_its_name(
    name: str, reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(FamilyUnusable) as caught:
        find_family(name)
    assert str(caught.value).startswith(f'the family "{name}" of the package parrot-family {reason}')

    assert show.run(FamiliesArgs()) == 0
    listing = capsys.readouterr().out
    assert f"{name}\n  {caught.value}\n" in listing
    assert "parrot: A family from a package of its own" in listing


def test_a_family_that_nobody_offers() -> None:
    assert find_family("nobody-offers-this") is None


def classes_of(module: str) -> set[str]:
    """Read, not imported: some bring torch."""
    spec = find_spec(module)
    assert spec is not None
    assert spec.origin is not None
    tree = ast.parse(Path(spec.origin).read_text())
    return {node.name for node in tree.body if isinstance(node, ast.ClassDef)}


@pytest.mark.parametrize("name", BUILT_IN)
def test_what_a_family_names_is_there(name: str) -> None:
    family = find_family(name)
    assert family is not None
    requests = load_requests(family)

    assert requests.capabilities
    for stage in family.stages:
        module, _, program = stage.program.partition(":")
        assert program in classes_of(module)
        assert stage.help
        requests.check_stage_params(stage.name, {})
        for param in stage.params.values():
            assert isinstance(param.default, param.type)
            assert param.help
