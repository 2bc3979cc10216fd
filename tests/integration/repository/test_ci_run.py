"""`.ci/run`: what its closing line and exit code say, whatever `make test` does."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]

UNIT = "======================== 184 passed in 1.15s ========================="
INTEGRATION = "=========== 2 failed, 30 passed, 1 skipped, 1 error in 62.10s (0:01:02) ============"
START = "============================= test session starts =============================="
GREEN = "================= 30 passed, 3 warnings in 62.10s (0:01:02) =================="


@pytest.mark.parametrize(
    ("recipe", "closing", "code"),
    [
        (f"@echo '{UNIT}'; echo '{GREEN}'", "214 passed, 0 failed", 0),
        (f"@echo '{UNIT}'; echo '{INTEGRATION}'; exit 1", "214 passed, 3 failed", 2),
        (f"@echo '{UNIT}'; exit 1", "184 passed, 1 failed", 2),
        ("@echo nothing ran", "0 passed, 1 failed", 1),
        (f"@echo '{INTEGRATION}'", "30 passed, 3 failed", 1),
        (f"@echo '{START}'; echo '{UNIT}'; echo '{START}'", "184 passed, 1 failed", 1),
    ],
    ids=["green", "failures", "lint fails", "no tests", "swallowed failure", "died without a word"],
)
def test_the_closing_line(tmp_path: Path, recipe: str, closing: str, code: int) -> None:
    (tmp_path / ".ci").mkdir()
    shutil.copy(ROOT / ".ci" / "run", tmp_path / ".ci" / "run")
    (tmp_path / "Makefile").write_text(f"test:\n\t{recipe}\n")
    environ = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    result = subprocess.run(
        ["bash", ".ci/run"], cwd=tmp_path, env=environ, stdin=subprocess.DEVNULL, capture_output=True, text=True,
        timeout=120, check=False,
    )  # fmt: skip
    assert result.stdout.splitlines()[-1] == closing
    assert result.returncode == code
