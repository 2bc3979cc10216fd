"""The kernels as an image has them: each that this machine's processor runs computes what transformers does."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from omnipipe.engines.kernels.library import BuildError, Level, build, cpu_flags, levels

ROOT = Path(__file__).parents[4]
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "omnipipe" / "kernels"
"""Named by what they are made from, so that they need to be built once a machine."""


@pytest.mark.parametrize("level", levels(), ids=lambda level: level.march)
def test_a_level_computes_the_same(level: Level, tmp_path: Path) -> None:
    if shutil.which("g++") is None:
        pytest.skip("no g++ on this machine")
    library = CACHE / level.file
    if not library.exists():
        build(library, level.march)
    if not level.needs <= cpu_flags():
        pytest.skip(f"this processor is no {level.march}: built, not run")
    shutil.copy(library, tmp_path / level.file)
    words = [sys.executable, "-m", "tests.integration.engines.autoregressive.level_parity", str(tmp_path)]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr


def test_what_does_not_load_is_passed_over(tmp_path: Path) -> None:
    """In a process of its own, which has loaded none yet. Without a compiler there is then none to be had."""
    for level in levels():
        (tmp_path / level.file).write_text("no library")
    words = [sys.executable, "-c", PASSED_OVER, str(tmp_path)]
    environment = {**os.environ, "PATH": str(tmp_path)}
    done = subprocess.run(words, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr
    assert "do not load" in done.stderr
    assert "no g++" in done.stderr


PASSED_OVER = """
import logging, sys
from pathlib import Path
from omnipipe.engines.kernels.native import NativeKernels
logging.basicConfig(level=logging.INFO)
folder = Path(sys.argv[1])
kernel = NativeKernels(cache_dir=folder / "cache", prebuilt=folder)
kernel.start()
assert not kernel.ready
"""


def test_a_build_that_fails_says_why(tmp_path: Path) -> None:
    if shutil.which("g++") is None:
        pytest.skip("no g++ on this machine")
    with pytest.raises(BuildError, match="march"):
        build(tmp_path / "kernel.so", "no-such-level")
    assert list(tmp_path.iterdir()) == []
