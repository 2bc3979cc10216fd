"""The layer contract of pyproject holds, and catches what it is there to catch."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    code = "import sys; sys.path[:0] = ['runtime', 'operator']; from importlinter.cli import lint_imports_command as c"
    command = [sys.executable, "-c", f"{code}; c()", "--no-cache"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=240, check=False)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    for name in ("runtime", "operator"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def test_the_contract_holds(copy: Path) -> None:
    result = lint(copy)
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize(
    ("module", "line", "broken"),
    [
        ("runtime/omnipipe/spec/plan.py", "import omnipipe.wire.value", "Layers of the runtime"),
        ("runtime/omnipipe/coordinator/walk.py", "import zmq", "zmq behind the wire"),
        ("runtime/omnipipe/wire/hub.py", "import zmq", "zmq behind the wire"),
        ("runtime/omnipipe/coordinator/fake.py", "import fastapi", "fastapi behind the gateway"),
        ("operator/omnipipe_operator/__init__.py", "import omnipipe.wire.port", "The operator meets the runtime only"),
    ],
)
def test_a_planted_import_breaks_it(copy: Path, module: str, line: str, broken: str) -> None:
    path = copy / module
    path.write_text(path.read_text() + f"\n{line}\n")
    result = lint(copy)
    assert result.returncode != 0
    said = [line for line in result.stdout.splitlines() if "BROKEN" in line]
    assert any(line.startswith(broken) for line in said), result.stdout
