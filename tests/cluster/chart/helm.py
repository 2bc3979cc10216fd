"""helm, as a person would call it, with nothing read from or written to that person's home."""

import subprocess
from pathlib import Path
from typing import Any

import yaml
from tests.cluster.programs import find_tool

__all__ = ["CHART", "KUBE_VERSION", "Helm", "HelmRefused", "find_helm", "objects"]

CHART = Path(__file__).parents[3] / "charts" / "omnipipe"
KUBE_VERSION = "v1.34.4"
"""What `helm template`, which asks no cluster, is told that there is."""


class HelmRefused(Exception):
    """What helm wrote when it did not do as told."""


def find_helm() -> Path | str:
    """helm, or why there is none."""
    found = find_tool("helm", on_path=True)
    return found or "no helm: scripts/setup-cluster.sh makes it ready, or says what it lacks"


class Helm:
    """`kubeconfig` None: without a cluster."""

    def __init__(self, program: Path, home: Path, kubeconfig: Path | None = None) -> None:
        self._program, self._kubeconfig = program, kubeconfig
        self._env = {
            "PATH": "/usr/bin:/bin",
            "HOME": str(home),
            "HELM_CACHE_HOME": str(home / "cache"),
            "HELM_CONFIG_HOME": str(home / "config"),
            "HELM_DATA_HOME": str(home / "data"),
        }

    def __call__(self, *args: str | Path, values: object = None) -> str:
        """What it printed. Raises HelmRefused."""
        more: list[str | Path] = ["--values=-"] if values is not None else []
        where = [f"--kubeconfig={self._kubeconfig}"] if self._kubeconfig else []
        done = subprocess.run(
            [self._program, *where, *args, *more],
            input=yaml.safe_dump(values) if values is not None else None,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
            env=self._env,
        )
        if done.returncode != 0:
            raise HelmRefused(done.stderr + done.stdout)
        return done.stdout

    def template(self, *args: str, values: object = None, namespace: str = "system") -> str:
        asked = ("template", "omni", CHART, f"--namespace={namespace}", f"--kube-version={KUBE_VERSION}")
        return self(*asked, *args, values=values or {})


def objects(text: str) -> list[dict[str, Any]]:
    """What a template made."""
    return [one for one in yaml.safe_load_all(text) if one]
