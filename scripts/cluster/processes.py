"""Processes that outlive the command that started them, known by a file each. Knows no Kubernetes."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from scripts.cluster.errors import ClusterError

__all__ = ["Processes", "call", "eventually", "started_at"]

READY_S = 60.0
"""For what takes some seconds on an idle machine of two cores."""
STOP_S = 3.0
"""What is being thrown away need not finish."""
_POLL_S = 0.05
_ORPHAN = '"$@" >&2 & echo $!'
"""A shell that leaves its command behind: nobody's child, for it outlives whoever started it."""
ROOT = Path(__file__).parents[2]
"""Where our own servers find their code."""


def call(*args: str | Path, stdin: str | None = None, timeout_s: float = 120.0) -> str:
    """Runs a command to its end and returns what it printed. Raises ClusterError with its last words."""
    try:
        done = subprocess.run(
            args, input=stdin, capture_output=True, text=True, timeout=timeout_s, check=False, errors="replace"
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ClusterError(f"{args[0]}: {error}") from error
    if done.returncode != 0:
        words = (done.stderr or done.stdout).strip() or f"ended with {done.returncode}"
        raise ClusterError(f"{' '.join(map(str, args[:4]))}: {words}")
    return done.stdout


def eventually(look: Callable[[], bool], what: str, deadline_s: float = READY_S) -> None:
    end = time.monotonic() + deadline_s
    while not look():
        if time.monotonic() > end:
            raise ClusterError(f"not within {deadline_s:.0f} s: {what}")
        time.sleep(_POLL_S)


def started_at(pid: int) -> int | None:
    """When a process started, in the kernel's ticks: with the id it names one process for ever. None: it has ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else int(fields[19])


class Processes:
    """`folder`: a JSON file and a log for each. `namespace`: the network namespace they run in."""

    def __init__(self, folder: Path, namespace: Path) -> None:
        self.folder, self.namespace = folder, namespace

    def start(self, name: str, command: Sequence[str | Path], *, ready: Callable[[], bool], what: str) -> None:
        """Waits until `ready`. Raises ClusterError with the log's last lines."""
        self.folder.mkdir(parents=True, exist_ok=True)
        log = self.folder / f"{name}.log"
        with log.open("ab") as out:
            # nsenter, not `ip netns exec`: the latter remounts /sys, and the kubelet then finds no cgroups.
            done = subprocess.run(
                ["sh", "-c", _ORPHAN, "sh", "nsenter", f"--net={self.namespace}", "--", *command],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=out,
                text=True,
                cwd="/",
                env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "PYTHONPATH": str(ROOT)},
                start_new_session=True,
                check=True,
            )
        pid = int(done.stdout)
        started = started_at(pid)
        order = len(list(self.folder.glob("*.json")))
        record = {"pid": pid, "started": started, "order": order}
        (self.folder / f"{name}.json").write_text(json.dumps(record), encoding="utf-8")

        def look() -> bool:
            if started is None or started_at(pid) != started:
                raise ClusterError("has ended")
            return ready()

        try:
            eventually(look, what)
        except ClusterError as error:
            tail = "\n".join(log.read_text(errors="replace").splitlines()[-15:])
            raise ClusterError(f"{name}: {error}\n{tail}") from None

    def running(self) -> dict[str, int]:
        """Name -> process id, the last started first."""
        found = []
        for file in self.folder.glob("*.json"):
            record = json.loads(file.read_text())
            if record["started"] is not None and started_at(record["pid"]) == record["started"]:
                found.append((record["order"], file.stem, record["pid"]))
        return {name: pid for _, name, pid in sorted(found, reverse=True)}

    def stop(self, name: str) -> None:
        """In its own way; by force when that takes too long."""
        pid = self.running().get(name)
        if pid is None:
            return
        started = started_at(pid)
        for number, wait_s in ((signal.SIGTERM, STOP_S), (signal.SIGKILL, READY_S)):
            try:
                os.kill(pid, number)
                eventually(lambda: started_at(pid) != started, f"{name} ends", wait_s)
            except ProcessLookupError:
                return
            except ClusterError:
                if number == signal.SIGKILL:
                    raise
            else:
                return
