"""`-` is a manifest that comes through a pipe, as for kubectl."""

import json
import subprocess
import sys

import pytest
from tests.integration.local.served import ECHO


def omnipipe(*words: str, given: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "omnipipe", *words], input=given, capture_output=True, text=True, timeout=60, check=False
    )


def test_it_is_checked() -> None:
    assert omnipipe("validate", "-", given=ECHO).stdout == "1 file valid\n"
    wrong = omnipipe("validate", "-", given=ECHO.replace("family: echo", "family: ehco"))
    assert wrong.returncode == 1
    assert wrong.stdout.startswith('-:5: spec.model.family: no family is called "ehco"')


def test_it_is_compiled() -> None:
    assert json.loads(omnipipe("plan", "-", given=ECHO).stdout)["pipeline"] == "echo"


@pytest.mark.parametrize("command", ["plan", "graph", "validate"])
def test_nothing_is_no_manifest(command: str) -> None:
    ended = omnipipe(command, "-", given="")
    assert ended.returncode == 1
    assert "bug" not in ended.stderr
