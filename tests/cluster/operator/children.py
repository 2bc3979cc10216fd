"""What an operator made in a namespace, as tests compare it."""

import json
import subprocess
from collections import Counter

from tests.cluster.daemon import DaemonError, eventually
from tests.cluster.namespace import Namespace, Object

__all__ = ["KINDS", "STAGES", "children", "condition", "stands"]

STAGES = ("compose", "ingest", "pitch", "synth", "words")
KINDS = (
    "configmap", "deployment", "networkpolicy", "omnistage", "poddisruptionbudget", "secret", "service",
)  # fmt: skip
"""Those that an echo pipeline has without asking for more."""
ECHO = {"configmap": 1, "deployment": 6, "networkpolicy": 6, "omnistage": 5, "poddisruptionbudget": 6, "secret": 1,
        "service": 6}  # fmt: skip


def children(namespace: Namespace) -> list[Object]:
    """All with a label of ours, in order; those that are being deleted included."""
    found: list[Object] = namespace.get(",".join(KINDS), "-l", "omnipipe.dev/pipeline")["items"]
    return sorted(found, key=lambda value: (value["kind"], value["metadata"]["name"]))


def stands(namespace: Namespace) -> None:
    """Waits until all children of one echo pipeline are there, and nothing else."""
    seen: Counter[str] = Counter()

    def all_there() -> bool:
        nonlocal seen
        seen = Counter(value["kind"].lower() for value in children(namespace))
        return dict(seen) == ECHO

    try:
        eventually(all_there, "all children stand")
    except DaemonError as error:
        raise AssertionError(f"{error}: {dict(seen)}") from None


def condition(namespace: Namespace, kind: str, name: str = "assistant") -> tuple[str, str, str]:
    """Status, reason and message; empty while it is not there."""
    done: subprocess.CompletedProcess[str] = namespace.run("get", f"omni/{name}", "-o", "json")
    found = json.loads(done.stdout or "{}").get("status", {}).get("conditions", [])
    return next(((one["status"], one["reason"], one["message"]) for one in found if one["type"] == kind), ("", "", ""))
