"""The operator as a process against the control plane: started as people start it, but for what a test breaks in it."""

import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from tests.cluster.controlplane import ControlPlane
from tests.cluster.daemon import DEADLINE_S, eventually
from tests.ports import free_port

__all__ = ["Operator"]

ROOT = Path(__file__).parents[3]
IMAGES = ("--gateway-image=example.org/gateway:1", "--stage-image=example.org/stage:1")


class Operator:
    """`breaks`: see `broken.py`; without it the real entry point runs."""

    def __init__(
        self,
        control_plane: ControlPlane,
        folder: Path,
        *namespaces: str,
        args: tuple[str, ...] = (),
        breaks: Mapping[str, object] | None = None,
        kubeconfig: Path | None = None,
        lease: str | None = None,
        name: str = "operator",
    ) -> None:
        self.port = free_port()
        self.log = folder / f"{name}.log"
        module = ["tests.cluster.operator.broken", json.dumps(breaks)] if breaks is not None else ["omnipipe_operator"]
        self._command: list[str | Path] = [
            sys.executable, "-m", *module,
            f"--kubeconfig={kubeconfig or control_plane.kubeconfig}",
            f"--listen=127.0.0.1:{self.port}",
            *(f"--namespace={namespace}" for namespace in namespaces),
            f"--lease-namespace={lease}" if lease else "--no-leader-election",
            "--log-format=text",
            *IMAGES,
            *args,
        ]  # fmt: skip
        path = os.pathsep.join(str(ROOT / part) for part in ("operator", "runtime", "."))
        self.environment = {**os.environ, "PYTHONPATH": path}

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()

    def start(self) -> None:
        with self.log.open("ab") as out:
            self.process = subprocess.Popen(
                self._command, env=self.environment, stdin=subprocess.DEVNULL, stdout=out, stderr=out, cwd=ROOT
            )

    def stop(self) -> int:
        """As Kubernetes ends a pod; what it exited with."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(DEADLINE_S)

    def ready(self) -> bool:
        return self.answer("/readyz")[0] == 200

    def wait_ready(self) -> None:
        eventually(self.ready, f"the operator is ready: {self.said()}")

    def answer(self, path: str) -> tuple[int, str]:
        """(0, "") while nobody listens."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=30) as response:
                return response.status, response.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()
        except OSError:
            return 0, ""

    def metric(self, name: str) -> float:
        """Summed over its labels; 0 when there is none."""
        lines = [line for line in self.answer("/metrics")[1].splitlines() if not line.startswith("#")]
        return sum(float(line.rpartition(" ")[2]) for line in lines if line.split("{")[0].split(" ")[0] == name)

    def said(self) -> str:
        return self.log.read_text(errors="replace")[-3000:] if self.log.exists() else ""
