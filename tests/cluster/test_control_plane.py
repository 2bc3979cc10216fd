"""The harness itself: its controllers work, its processes end with it, and what they said is shown when they fail."""

import subprocess
import sys
from pathlib import Path

import psutil
import pytest
import yaml
from tests.cluster.daemon import Daemon, DaemonError, eventually
from tests.cluster.namespace import Namespace, pipeline
from tests.processes import gone

SLEEPER = """
import sys, time
from pathlib import Path
from tests.cluster.daemon import Daemon
daemon = Daemon(Path("/bin/sleep"), ["600"], Path(sys.argv[1]))
print(daemon.process.pid, flush=True)
time.sleep(600)
"""


def test_what_a_pipeline_owns_goes_with_it(namespace: Namespace) -> None:
    namespace.apply(pipeline())
    owner = namespace.get("omni/assistant")
    reference = {key: owner[key] for key in ("apiVersion", "kind")} | {
        key: owner["metadata"][key] for key in ("name", "uid")
    }
    child = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "plan", "ownerReferences": [reference]}}
    namespace.kubectl("create", "-f", "-", stdin=yaml.safe_dump(child))

    namespace.kubectl("delete", "omni/assistant")

    eventually(lambda: namespace.run("get", "configmap/plan").returncode != 0, "the garbage collector took it")


def test_a_daemon_that_ends_early_says_why(tmp_path: Path) -> None:
    daemon = Daemon(Path("/bin/sh"), ["-c", "echo no such luck; exit 3"], tmp_path / "log")

    with pytest.raises(DaemonError, match=r"sh: ended with 3\nno such luck"):
        daemon.wait_for(lambda: False, "nothing")


def test_a_daemon_ends_with_tests_that_are_killed(tmp_path: Path) -> None:
    command: list[str | Path] = [sys.executable, "-c", SLEEPER, tmp_path / "log"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2]) as tests:
        assert tests.stdout is not None
        sleeper = psutil.Process(int(tests.stdout.readline()))
        eventually(lambda: sleeper.name() == "sleep", "setpriv has become the program")
        tests.kill()

    eventually(lambda: gone(sleeper), "it has gone")
