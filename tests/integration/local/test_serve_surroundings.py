"""What surrounds a run - limits, folders, names - is as good as it can be made, or is complained of in one line."""

import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest
from tests.integration.local.served import Served, eventually

ODD = os.fsdecode(b"caf\xe9")
"""A name that is not UTF-8, as old archives and file systems have them."""


def test_every_process_may_open_as_many_files_as_the_system_allows(tmp_path: Path, manifest: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = 65_536 if hard == resource.RLIM_INFINITY else min(hard, 65_536)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(most, 512), hard))
    try:
        serving = Served(tmp_path, manifest, "--port", "0")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    with serving as served:
        assert served.ask("hello") == "hello"
        for words in (("gateway",), ("stage", "--stage", "synth")):
            assert served.child(*words).rlimit(resource.RLIMIT_NOFILE)[0] >= most


def test_too_few_files_are_one_line_and_not_silence(manifest: Path) -> None:
    command = f"ulimit -n 40 && exec {sys.executable} -m omnipipe serve {manifest} --port 0"
    ended = subprocess.run(["sh", "-c", command], capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 3
    assert ended.stderr.startswith("omnipipe: only 40 files may be open here (ulimit -n)")
    assert ended.stderr.count("\n") == 1


@pytest.mark.parametrize("inside", ["", "/deeper"])
def test_a_folder_for_events_that_cannot_be_one_is_refused_at_once(tmp_path: Path, manifest: Path, inside: str) -> None:
    with Served(tmp_path, manifest, "--port", "0", "--events-dir", f"{manifest}{inside}") as served:
        assert served.wait() == 1
        assert served.err.startswith(f"omnipipe: request events cannot be written to {manifest}{inside}: ")
        assert served.err.count("\n") == 1


def test_names_that_are_not_utf8_are_names(tmp_path: Path, manifest: Path) -> None:
    folder = tmp_path / ODD
    folder.mkdir()
    moved = manifest.rename(folder / manifest.name)
    with Served(tmp_path, moved, "--port", "0", "--events-dir", folder / "events") as served:
        assert served.ask("hello") == "hello"
        eventually(lambda: any(file.stat().st_size for file in (folder / "events").iterdir()), "events in the folder")


@pytest.mark.parametrize("command", ["validate", "plan", "graph", "serve"])
def test_what_is_wrong_in_a_file_of_such_a_name_is_told(tmp_path: Path, command: str) -> None:
    path = tmp_path / f"{ODD}.yaml"
    path.write_text("kind: Nothing\n")
    ended = subprocess.run(
        [sys.executable, "-m", "omnipipe", command, path], capture_output=True, timeout=60, check=False
    )
    assert ended.returncode == 1
    assert b"this is a bug" not in ended.stderr
    assert b'kind: found "Nothing"' in ended.stdout + ended.stderr
