"""What `omnipipe serve` does when a process of it ends by itself."""

import os
import signal
from pathlib import Path

import psutil
import pytest
from openai import OpenAIError
from tests.integration.local.served import Served, all_gone, eventually, run_folders


def test_a_killed_stage_is_started_again(served: Served) -> None:
    assert served.ask("before") == "before"
    served.child("--stage", "compose").kill()
    served.wait_for("compose-0 was killed by SIGKILL; starting it again in 0.1 s")
    served.wait_for("  compose-0 ready in ", times=2)
    assert eventually(lambda: _try(served, "after"), "an answer") == "after"
    assert served.stop() == 0


def test_connections_wait_while_a_killed_gateway_comes_back(served: Served) -> None:
    assert served.ask("before") == "before"
    served.child("gateway").kill()
    served.wait_for("gateway was killed by SIGKILL")
    assert eventually(lambda: _try(served, "after"), "an answer") == "after"
    assert served.stop() == 0


def test_a_stage_that_keeps_crashing_is_waited_for_longer_and_longer(served: Served) -> None:
    _ = served.url
    for delay in ("0.1", "0.2", "0.4"):
        served.child("--stage", "pitch").kill()
        served.wait_for(f"pitch-0 was killed by SIGKILL; starting it again in {delay} s")
        served.wait_for("  pitch-0 ready in ", times={"0.1": 2, "0.2": 3, "0.4": 4}[delay])
    assert served.stop() == 0


def test_stopping_does_not_wait_for_a_restart(served: Served) -> None:
    _ = served.url
    family = served.children()
    served.child("--stage", "words").kill()
    assert served.stop() == 0
    assert all_gone(family)
    assert run_folders() == []


def _try(served: Served, text: str) -> str | None:
    try:
        return served.ask(text)
    except OpenAIError:
        return None


@pytest.fixture
def odd_family(tmp_path: Path) -> dict[str, str]:
    """A package that offers a family `odd`, whose one stage cannot start in the way that ODD says. Found through its
    entry point, as any installed one; returns the environment to find it in."""
    site = tmp_path / "site"
    info = site / "odd-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: odd\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[omnipipe.families]\nodd = odd_family:FAMILY\n")
    (site / "odd_family.py").write_text(_ODD_FAMILY)
    (site / "odd_stages.py").write_text(_ODD_STAGES)
    return {"PYTHONPATH": str(site)}


_ODD_FAMILY = """
from dataclasses import replace
from omnipipe.families.echo.graph import FAMILY as ECHO

FAMILY = replace(
    ECHO,
    name="odd",
    stages=tuple(replace(s, program="odd_stages:Odd") if s.name == "pitch" else s for s in ECHO.stages),
)
"""

_ODD_STAGES = """
import os, time

class Odd:
    def __init__(self, context):
        if os.environ["ODD"] == "raise":
            raise OSError("the weights are not there")
        if os.environ["ODD"] == "die":
            os.abort()
        if os.environ["ODD"] == "members":
            return
        if os.environ["ODD"] == "missing":
            open("/nowhere/at/all")
        if os.environ["ODD"] == "model":
            from omnipipe.engines.errors import LoadingError

            raise LoadingError("m: 3 tensors missing")
        if os.environ["ODD"] == "signature":
            self.missing_argument()
        time.sleep(600)

    def missing_argument(self, given): ...

if os.environ["ODD"] == "import":
    import nobody_has_this
if os.environ["ODD"] == "name":
    del Odd
"""


@pytest.fixture
def odd_manifest(manifest: Path) -> Path:
    manifest.write_text(manifest.read_text().replace("family: echo", "family: odd"))
    return manifest


@pytest.mark.parametrize(("odd", "cause"), [("raise", "the weights are not there"), ("die", "was killed by SIGABRT")])
def test_a_stage_that_cannot_start_ends_the_run_with_its_last_words(
    tmp_path: Path, odd_manifest: Path, odd_family: dict[str, str], odd: str, cause: str
) -> None:
    with Served(tmp_path, odd_manifest, "--port", "0", env={**odd_family, "ODD": odd}) as served:
        family: set[psutil.Process] = set()  # they are seldom all there at the same time

        def ended() -> bool:
            family.update(served.children())
            return served.process.poll() is not None

        eventually(ended, "its end")
        assert len(family) > 6
        assert served.wait() == 3
        (line,) = served.err.splitlines()
        assert line.startswith("omnipipe: pitch-0 cannot be started: it ")
        assert cause in line
        assert served.out.count("pitch-0 exited") + served.out.count("pitch-0 was killed") == 4
    assert all_gone([*family])
    assert run_folders() == []


@pytest.mark.parametrize(
    ("odd", "cause"),
    [
        ("syntax", "SyntaxError: "),
        ("import", "ModuleNotFoundError: No module named 'nobody_has_this'"),
        ("name", "AttributeError: module 'odd_stages' has no attribute 'Odd'"),
        ("signature", "TypeError: "),
        ("missing", "FileNotFoundError: "),
        ("model", "LoadingError: m: 3 tensors missing"),
        ("members", "LoadingError: it has no cost(), run(), as a program of the batch engine must"),
    ],
)
def test_a_stage_that_can_never_start_is_not_tried_again(
    tmp_path: Path, odd_manifest: Path, odd_family: dict[str, str], odd: str, cause: str
) -> None:
    if odd == "syntax":
        Path(odd_family["PYTHONPATH"], "odd_stages.py").write_text("class Odd(:\n")
    with Served(tmp_path, odd_manifest, "--port", "0", env={**odd_family, "ODD": odd}) as served:
        assert served.wait() == 3
        (line,) = served.err.splitlines()
        assert line.startswith("omnipipe: pitch-0 cannot be started: it exited with 1 at once; its last words: ")
        assert f" stage pitch: cannot load its program odd_stages:Odd: {cause}" in line
        assert served.out.count("pitch-0 exited with") == 0
    assert run_folders() == []


def test_ctrl_c_while_a_stage_takes_its_time(tmp_path: Path, odd_manifest: Path, odd_family: dict[str, str]) -> None:
    with Served(tmp_path, odd_manifest, "--port", "0", env={**odd_family, "ODD": "hang"}) as served:
        served.wait_for("  synth-0 ready in ")
        family = served.children()
        assert "ready: http" not in served.out
        assert served.stop() in (0, 4)
        assert "cannot load its program" not in served.out  # it was told to stop
        assert "pitch-0 exited with" not in served.out
    assert all_gone(family)
    assert run_folders() == []


def test_a_hanging_stage_does_not_survive_a_kill_of_the_supervisor(
    tmp_path: Path, odd_manifest: Path, odd_family: dict[str, str]
) -> None:
    with Served(tmp_path, odd_manifest, "--port", "0", env={**odd_family, "ODD": "hang"}) as served:
        served.wait_for("  synth-0 ready in ")
        family = served.children()
        os.kill(served.process.pid, signal.SIGKILL)
        served.process.wait()
        eventually(lambda: all_gone(family), "all children gone")
        eventually(lambda: not run_folders(), "the run folder gone")
