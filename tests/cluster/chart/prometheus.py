"""A real Prometheus with the chart's rules, asked over its own API."""

import json
import math
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from tests.cluster.daemon import Daemon
from tests.cluster.programs import find_tool
from tests.ports import free_port

__all__ = ["Prometheus", "find_prometheus"]

_SCRAPE_S = 1
_FOUND = {"namespace": "found-here"}
"""What a cluster's Prometheus adds to all that it finds: where the pod is. A namespace of the metric's own stays."""


def find_prometheus() -> tuple[Path, Path] | str:
    """prometheus and promtool, or why there is none."""
    server, tool = find_tool("prometheus", on_path=True), find_tool("promtool", on_path=True)
    if server is None or tool is None:
        return "no prometheus: scripts/setup-cluster.sh makes it ready, or says what it lacks"
    return server, tool


class Prometheus:
    """`targets`: job -> host:port. `rules`: groups, as a PrometheusRule has them in its spec."""

    def __init__(self, program: Path, folder: Path, targets: Mapping[str, str], rules: Mapping[str, Any]) -> None:
        self.rules_file = folder / "rules.yml"
        self.rules_file.write_text(yaml.safe_dump(dict(rules)))
        config = {
            "global": {"scrape_interval": f"{_SCRAPE_S}s", "evaluation_interval": f"{_SCRAPE_S}s"},
            "rule_files": [str(self.rules_file)],
            "scrape_configs": [
                {"job_name": job, "honor_labels": True, "static_configs": [{"targets": [target], "labels": _FOUND}]}
                for job, target in targets.items()
            ],
        }
        (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
        self._url = f"http://127.0.0.1:{free_port()}"
        self._daemon = Daemon(
            program,
            [
                f"--config.file={folder}/prometheus.yml",
                f"--storage.tsdb.path={folder}/data",
                f"--web.listen-address={self._url.removeprefix('http://')}",
                "--log.level=warn",
            ],
            folder / "prometheus.log",
        )

    def wait(self) -> None:
        self._daemon.wait_for(self._ready, "it is ready")

    def stop(self) -> None:
        self._daemon.stop()

    def query(self, expression: str) -> list[float]:
        """A value for each series there is; those that are no numbers are left out."""
        found = self._ask("query", query=expression)["result"]
        values = [float(series["value"][1]) for series in found]
        return [value for value in values if not math.isnan(value)]

    def metrics(self) -> frozenset[str]:
        return frozenset(self._ask("label/__name__/values"))

    def label_values(self, selector: str, label: str) -> Sequence[str]:
        values: list[str] = self._ask(f"label/{label}/values", **{"match[]": selector})
        return values

    def alerts(self) -> dict[str, dict[str, Any]]:
        groups = self._ask("rules")["groups"]
        return {rule["name"]: rule for group in groups for rule in group["rules"]}

    def _ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self._url}/-/ready", timeout=30) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    def _ask(self, path: str, **query: str) -> Any:
        """Raises ValueError with Prometheus's own words."""
        try:
            with urllib.request.urlopen(
                f"{self._url}/api/v1/{path}?{urllib.parse.urlencode(query)}", timeout=30
            ) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            raise ValueError(f"{query}: {error.read().decode(errors='replace')}") from error
