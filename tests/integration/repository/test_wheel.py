"""What `pip install .` gives a user: one wheel with both trees, and a command that works from anywhere."""

import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

import omnipipe

ROOT = Path(__file__).parents[3]
PURELIB = sysconfig.get_path("purelib")


def dependencies() -> str:
    """Where the third-party packages of this environment are."""
    pth = Path(PURELIB) / "omnipipe-deps.pth"
    return pth.read_text().strip() if pth.exists() else PURELIB


def pip(*words: str) -> None:
    """pip lives beside the dependencies; the environment of a checkout has none of its own."""
    code = "import sys; sys.path.insert(0, sys.argv.pop(1)); from pip._internal.cli.main import main; sys.exit(main())"
    quiet = ("--quiet", "--disable-pip-version-check", "--no-input")
    subprocess.run([sys.executable, "-c", code, dependencies(), *words, *quiet], check=True, timeout=240, cwd=ROOT)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    pip("wheel", str(ROOT), "--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", str(folder))
    (found,) = folder.glob("*.whl")
    return found


def test_the_wheel_holds_both_trees_and_nothing_else(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0] for name in names} == {
        "omnipipe",
        "omnipipe_operator",
        f"omnipipe-{omnipipe.__version__}.dist-info",
    }
    sources = {str(path.relative_to(ROOT / "runtime")) for path in (ROOT / "runtime" / "omnipipe").rglob("*.py")}
    assert sources <= set(names)
    assert not [name for name in names if "__pycache__" in name]


def test_the_command_works_from_an_empty_folder(wheel: Path, tmp_path: Path) -> None:
    home = tmp_path / "venv"
    venv.create(home, with_pip=False, symlinks=True)
    (site,) = home.glob("lib/python*/site-packages")
    (site / "dependencies.pth").write_text(dependencies())
    pip("--python", str(home / "bin" / "python"), "install", "--no-deps", "--no-index", str(wheel))
    empty = tmp_path / "empty"
    empty.mkdir()
    bare = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    for command in (["omnipipe"], ["python", "-m", "omnipipe"]):
        program = [str(home / "bin" / command[0]), *command[1:], "--version"]
        result = subprocess.run(program, cwd=empty, env=bare, capture_output=True, text=True, timeout=240, check=True)
        assert omnipipe.__version__ in result.stdout
    where = [str(home / "bin" / "python"), "-c", "import omnipipe; print(omnipipe.__file__)"]
    asked = subprocess.run(where, cwd=empty, env=bare, capture_output=True, text=True, timeout=240, check=True)
    imported = asked.stdout.strip()
    assert Path(imported).is_relative_to(site)
