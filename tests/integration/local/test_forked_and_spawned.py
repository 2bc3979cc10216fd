"""The two ways in which a stage process comes to be look the same from outside, and the nursery of the first is no
single point of failure."""

import contextlib
import os
from pathlib import Path

import psutil
import pytest
from tests.integration.local.served import Served, all_gone, eventually, run_folders
from tests.processes import gone


def test_spawned_stages_serve_end_and_leave_nothing(tmp_path: Path, manifest: Path) -> None:
    with Served(tmp_path, manifest, "--port", "0", "--spawn") as served:
        assert served.ask("hello") == "hello"
        assert len(served.family) == 6
        served.child("--stage", "pitch").kill()
        served.wait_for("  pitch-0 ready in ", times=2)
        assert served.stop() == 0
        assert all_gone(served.family)
    assert run_folders() == []


def test_spawned_stages_do_not_survive_a_kill_of_the_supervisor(tmp_path: Path, manifest: Path) -> None:
    with Served(tmp_path, manifest, "--port", "0", "--spawn") as served:
        _ = served.url
        served.process.kill()
        served.process.wait()
        eventually(lambda: all_gone(served.family), "all children gone")
        eventually(lambda: not run_folders(), "the run folder gone")


def test_the_supervisor_is_the_parent_of_a_forked_stage_and_ps_shows_its_command(served: Served) -> None:
    _ = served.url
    stage = served.child("--stage", "compose")
    assert stage.ppid() == served.process.pid
    assert stage.cmdline()[:3] == ["omnipipe", "stage", "--plan"]
    assert os.getsid(stage.pid) == stage.pid


def test_a_forked_stage_has_nothing_open_that_is_not_its_own(served: Served) -> None:
    """Neither the supervisor's nor another stage's: a descriptor too many would keep a lifeline alive."""
    _ = served.url
    stages = [served.child("--stage", name) for name in ("ingest", "synth")]
    first, second = map(opened, stages)
    shared = {link for link in first & second if link.startswith(("socket:", "pipe:"))}
    assert shared == set()


def opened(process: psutil.Process) -> set[str]:
    """What its descriptors point at; it goes on opening and closing some."""
    links = set()
    for descriptor in Path(f"/proc/{process.pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            links.add(str(descriptor.readlink()))
    return links


@pytest.fixture
def nursery(served: Served) -> psutil.Process:
    _ = served.url
    return served.child("nursery")


def test_stages_outlive_their_nursery_and_get_another(served: Served, nursery: psutil.Process) -> None:
    nursery.kill()
    eventually(lambda: gone(nursery), "the nursery's end")
    assert served.ask("still here") == "still here"
    served.child("--stage", "pitch").kill()
    served.wait_for("  pitch-0 ready in ", times=2)
    assert served.child("nursery").pid != nursery.pid
    assert served.stop() == 0
    assert run_folders() == []
