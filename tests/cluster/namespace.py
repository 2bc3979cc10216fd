"""One namespace of a control plane, as a person with kubectl sees it."""

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from tests.cluster.controlplane import ControlPlane

__all__ = ["Namespace", "Refused", "pipeline"]

Object = dict[str, Any]


class Refused(Exception):
    """What kubectl wrote when it did not do as told."""


class Namespace:
    def __init__(self, control_plane: ControlPlane, name: str) -> None:
        self.control_plane, self.name = control_plane, name

    def kubectl(self, *args: str | Path, stdin: str | None = None) -> str:
        """What it printed. Raises Refused."""
        done = self.run(*args, stdin=stdin)
        if done.returncode != 0:
            raise Refused(done.stderr)
        return done.stdout

    def run(self, *args: str | Path, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        return self.control_plane.kubectl(f"--namespace={self.name}", *args, stdin=stdin)

    def apply(self, value: Mapping[str, object] | Path, *more: str) -> str:
        """Server-side, unknown fields refused. `value`: a file, or an object."""
        what = str(value) if isinstance(value, Path) else "-"
        text = None if isinstance(value, Path) else yaml.safe_dump(dict(value))
        return self.kubectl("apply", "--server-side", "--validate=strict", "-f", what, *more, stdin=text)

    def get(self, what: str, *more: str) -> Object:
        found: Object = json.loads(self.kubectl("get", what, "-o", "json", *more))
        return found


def pipeline(spec: Mapping[str, object] | None = None) -> Object:
    """An echo pipeline, with these further fields of its spec."""
    return {
        "apiVersion": "omnipipe.dev/v1alpha1",
        "kind": "OmniPipeline",
        "metadata": {"name": "assistant"},
        "spec": {"model": {"family": "echo"}, **(spec or {})},
    }
