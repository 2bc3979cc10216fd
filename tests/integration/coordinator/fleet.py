"""Real echo stage processes on ipc sockets, which a test may kill, freeze and start again."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from omnipipe.families.registry import family_names, find_family
from omnipipe.spec.plan import Plan
from omnipipe.spec.reader import read_pipelines

__all__ = ["Fleet", "echo_plan"]

_RUN = """
import sys
from pathlib import Path
from omnipipe.spec.plan import Plan
from omnipipe.stage.process import run_stage
from omnipipe.stage.settings import StageSettings
plan = Plan.from_json(Path(sys.argv[1]).read_bytes())
sys.exit(run_stage(plan, sys.argv[2], int(sys.argv[3]), StageSettings(grace_s=1.0)))
"""


def echo_plan(folder: Path, *, replicas: int = 2, gateway: str = "{}") -> Plan:
    """Two branches of `replicas` each; the other stages are single."""
    manifest = f"""
apiVersion: omnipipe.dev/v1alpha1
kind: OmniPipeline
metadata: {{name: echo}}
spec:
  model: {{family: echo}}
  gateway: {gateway}
  transport: {{deadAfterSeconds: 10}}  # a busy machine may keep a process quiet
  stages:
    - {{name: words, replicas: {replicas}}}
    - {{name: compose, replicas: {replicas}}}
"""
    (pipeline,) = read_pipelines(manifest, "echo.yaml", find_family, family_names())
    return pipeline.compile(lambda stage, replica: f"ipc://{folder}/{stage}-{replica}.sock")


class Fleet:
    def __init__(self, plan: Plan, folder: Path) -> None:
        self.plan = plan
        self._path = folder / "plan.json"
        self._path.write_text(plan.to_json())
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> Self:
        for stage in self.plan.stages:
            for address in stage.addresses:
                self.start(address)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in self._running.values():
            process.send_signal(signal.SIGCONT)
            process.terminate()
        deadline = time.monotonic() + 5.0
        for process in self._running.values():
            try:
                process.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def start(self, address: str) -> None:
        stage, _, replica = address.rpartition("/")[2].removesuffix(".sock").rpartition("-")
        self._running[address] = subprocess.Popen([sys.executable, "-c", _RUN, str(self._path), stage, replica])

    def kill(self, address: str) -> None:
        process = self._running.pop(address)
        process.kill()
        process.wait()

    def freeze(self, address: str) -> None:
        os.kill(self._running[address].pid, signal.SIGSTOP)

    def thaw(self, address: str) -> None:
        os.kill(self._running[address].pid, signal.SIGCONT)

    def addresses(self) -> list[str]:
        return list(self._running)
