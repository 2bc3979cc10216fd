"""A manifest written for a cluster is served on one machine as it stands, and what has no effect there is said."""

import json
from pathlib import Path

from tests.integration.local.served import Served

ON_A_CLUSTER = Path(__file__).parents[3] / "examples" / "on-a-cluster.yaml"
FIELDS = [
    "spec.stages[].autoscaling", "spec.stages[].pod", "spec.gateway.replicas", "spec.gateway.pod", "spec.pod",
    "spec.rollout", "spec.monitoring",
]  # fmt: skip


def test_the_fields_for_clusters_are_named_in_one_line_and_the_rest_is_served(tmp_path: Path) -> None:
    with Served(tmp_path, ON_A_CLUSTER, "--port", "0") as served:
        assert served.ask("hello out there", model="ensemble") == "hello out there"
        line = f"  ensemble: without effect here, on a cluster only: {', '.join(FIELDS)}"
        assert [said for said in served.out.splitlines() if "on a cluster only" in said] == [line]
        assert "synth-1 ready in" in served.out
        assert served.stop() == 0


def test_for_machines_they_are_a_list(tmp_path: Path, manifest: Path) -> None:
    """And a pipeline without them is not spoken of."""
    with Served(tmp_path, ON_A_CLUSTER, manifest, "--port", "0", "--log-format", "json") as served:
        served.wait_for('"event": "ready"')
        assert served.stop() == 0
    events = [json.loads(line) for line in served.out.splitlines()]
    [event] = [event for event in events if event.get("event") == "cluster_only"]
    assert (event["pipeline"], event["fields"]) == ("ensemble", FIELDS)
