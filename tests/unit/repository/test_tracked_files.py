"""What no file of the repository may hold: addresses of package registries, paths of the machine it was written on."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]

# Split, so that this file is not its own finding.
REGISTRIES = [
    "py" + "pi.org", "files.python" + "hosted", "registry.npm" + "js", "registry.yarn" + "pkg", "deb.deb" + "ian.org",
    "proxy.gol" + "ang", "repo1.mav" + "en", "index" + "-url",
]  # fmt: skip
MACHINE_PATHS = [rf"(?<![\w.])/{folder}/\w" for folder in ("wo" + "rk", "ro" + "ot", "ho" + "me", "Us" + "ers")]
SECRETS = [r"-----BEGIN [A-Z ]*PRIVATE" + " KEY-----", r"\bghp_" + r"\w{20,}", r"\bsk-proj-" + r"\w{10,}"]
FORBIDDEN = re.compile("|".join([*map(re.escape, REGISTRIES), *MACHINE_PATHS, *SECRETS]))


def repository_files() -> list[Path]:
    """What is tracked, or would be with the next `git add`."""
    git = shutil.which("git")
    if git is None or not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    listed = subprocess.run(
        [git, "ls-files", "-co", "--exclude-standard", "-z"], cwd=ROOT, capture_output=True, check=True, text=True
    )
    paths = [ROOT / name for name in listed.stdout.split("\0") if name]
    return [path for path in paths if path.is_file()]


def test_no_file_names_a_registry_a_machine_or_a_secret() -> None:
    found = []
    for path in repository_files():
        try:
            text = path.read_text()
        except UnicodeDecodeError:
            continue
        found += [f"{path.relative_to(ROOT)}: {match.group()}" for match in FORBIDDEN.finditer(text)]
    assert found == []


def test_no_file_is_large() -> None:
    """Recordings and builds belong elsewhere, and weights, too, but for the models that ship with the package."""
    limits = {path: 4 << 20 if "builtin_models" in path.parts else 1 << 20 for path in repository_files()}
    assert {str(path): size for path, limit in limits.items() if (size := path.stat().st_size) > limit} == {}


def test_scripts_can_be_run() -> None:
    scripts = [path for path in repository_files() if path.suffix == ".sh" or path == ROOT / ".ci/run"]
    assert [str(path) for path in scripts if not path.stat().st_mode & 0o111] == []
