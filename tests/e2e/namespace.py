"""One namespace of the cluster, as a person with kubectl and a client of a pipeline see it."""

import json
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import httpx
import yaml
from tests.e2e.cluster import Cluster
from tests.e2e.forward import port_forward

__all__ = ["Namespace", "Object", "eventually"]

Object = dict[str, Any]

_POLL_S = 0.1


def eventually(look: Callable[[], object], what: Callable[[], str] | str, deadline_s: float) -> None:
    end = time.monotonic() + deadline_s
    while not look():
        if time.monotonic() > end:
            raise AssertionError(f"not within {deadline_s:.0f} s: {what if isinstance(what, str) else what()}")
        time.sleep(_POLL_S)


class Namespace:
    def __init__(self, cluster: Cluster, name: str) -> None:
        self.cluster, self.name = cluster, name

    def create(self) -> None:
        labels = {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "warn")}
        self.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": self.name, "labels": labels}})

    def delete(self) -> None:
        self.cluster.kubectl("delete", "namespace", self.name, "--wait=false", "--ignore-not-found")

    def kubectl(self, *args: str | Path, stdin: str | None = None) -> str:
        done = self.cluster.kubectl(f"--namespace={self.name}", *args, stdin=stdin)
        assert done.returncode == 0, f"kubectl {' '.join(map(str, args))}: {done.stderr}"
        return done.stdout

    def apply(self, *values: Mapping[str, object] | Path) -> str:
        """Server-side, unknown fields refused. A value: a file, or an object."""
        texts = [one.read_text() if isinstance(one, Path) else yaml.safe_dump(dict(one)) for one in values]
        return self.kubectl("apply", "--server-side", "--validate=strict", "-f", "-", stdin="\n---\n".join(texts))

    def get(self, what: str, *more: str) -> Object:
        found: Object = json.loads(self.kubectl("get", what, "-o", "json", *more))
        return found

    def items(self, what: str, selector: str = "") -> list[Object]:
        listed: list[Object] = self.get(what, f"--selector={selector}")["items"]
        return listed

    def reach(self, service: str) -> AbstractContextManager[str]:
        """The URL under which this machine reaches a Service's port 80."""
        if self.cluster.machine is None:
            return port_forward(self.cluster, self.name, service)
        return nullcontext(f"http://{self.get(f'service/{service}')['spec']['clusterIP']}")

    def says_ready(self, url: str) -> bool:
        try:
            return httpx.get(f"{url}/readyz", timeout=10).status_code == 200
        except httpx.HTTPError:
            return False

    def story(self) -> str:
        """For a failed test: pods, events and what the containers said."""
        shown = [
            self.kubectl("get", "pods,omnipipelines,deployments", "-o", "wide"),
            self.kubectl("get", "events", "--sort-by=.lastTimestamp"),
        ]
        for pod in self.items("pods"):
            name = pod["metadata"]["name"]
            done = self.cluster.kubectl(f"--namespace={self.name}", "logs", name, "--all-containers", "--tail=12")
            shown.append(f"--- {name}\n{done.stdout}{done.stderr}")
        return "\n".join(shown)
