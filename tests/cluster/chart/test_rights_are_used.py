"""An operator that may do what the chart lets it and nothing else, on a pipeline with everything on: it is refused
nothing, and there is no rule that it did not need.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.cluster.chart.asked import Asked
from tests.cluster.chart.helm import CHART, Helm
from tests.cluster.controlplane import ControlPlane
from tests.cluster.daemon import DaemonError, eventually
from tests.cluster.namespace import Namespace, Object, pipeline
from tests.cluster.operator.running import Operator

RELEASE = "omni-used"
ACCOUNT = f"{RELEASE}-omnipipe"
LEASES = {("coordination.k8s.io", "leases", verb) for verb in ("get", "create", "update")}
UNSEEN = {("omnipipe.dev", "omnipipelines/finalizers", "update")}
"""Checked by an admission plugin within another request; `test_chart_rights` shows that it is needed."""

WEIGHTY = """
import dataclasses
from omnipipe.families.echo.graph import FAMILY as ECHO
FAMILY = dataclasses.replace(ECHO, name="weighty", needs_source=True, sources=("hf",))
"""
"""The echo family's graph with weights to fetch, as a package of somebody else would offer it."""

EVERYTHING: Mapping[str, Any] = {
    "model": {
        "family": "weighty",
        "source": "hf://owner/model@main",
        "tokenSecret": {"name": "hub", "key": "token"},
        "cache": {"type": "SharedClaim", "size": "2Gi"},
    },
    "stages": [{"name": "compose", "autoscaling": {"minReplicas": 1, "maxReplicas": 3}}],
    "gateway": {
        "ingress": {"host": "models.example.com"},
        "httpRoute": {"parentRefs": [{"name": "public"}], "hostnames": ["models.example.com"]},
    },
    "monitoring": {"enabled": True},
}


@pytest.fixture
def watched(live: Helm, system: Namespace) -> Iterator[Namespace]:
    """Looked after by a release in a namespace beside it."""
    made = Namespace(system.control_plane, f"{system.name}-watched")
    made.kubectl("create", "namespace", made.name)
    live("install", RELEASE, CHART, f"--namespace={system.name}", values={"watch": {"namespaces": [made.name]}})
    made.kubectl("wait", "--for=condition=Established", "crd/omnipipelines.omnipipe.dev", "--timeout=100s")
    yield made
    live("uninstall", RELEASE, f"--namespace={system.name}")
    made.kubectl("delete", "namespace", made.name, "--wait=false")
    made.kubectl("delete", "crd", "omnipipelines.omnipipe.dev", "omnistages.omnipipe.dev")


@pytest.fixture
def operator(
    watched: Namespace, system: Namespace, bare: ControlPlane, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Operator]:
    """As the release's own account."""
    about = tmp_path / "weighty-1.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: weighty\nVersion: 1\n")
    (about / "entry_points.txt").write_text("[omnipipe.families]\nweighty = weighty:FAMILY\n")
    (tmp_path / "weighty.py").write_text(WEIGHTY)
    config = bare.kubeconfig_of(system.name, ACCOUNT)
    running = Operator(bare, tmp_path, watched.name, kubeconfig=config, lease=system.name, args=("--resync-s=1",))
    running.environment["PYTHONPATH"] += f":{tmp_path}"
    with running:
        running.wait_ready()
        yield running


@pytest.mark.timeout(400)  # two rollouts, without a kubelet that would tell how they go
def test_it_needs_every_rule_and_no_other(
    operator: Operator, watched: Namespace, system: Namespace, asked: Asked
) -> None:
    user = f"system:serviceaccount:{system.name}:{ACCOUNT}"

    def lacking(*but: str) -> set[tuple[str, str, str]]:
        return {one for one in granted() - {question[:3] for question in asked.by(user)} if one[2] not in but}

    watched.kubectl("create", "secret", "generic", "hub", "--from-literal=token=secret")
    watched.apply(pipeline(EVERYTHING))
    try:
        eventually(lambda: finished(watched, "job-name"), "the model is fetched")
        eventually(lambda: crashed(watched, "omnipipe.dev/stage=ingest"), "a stage runs, and fails")
        eventually(lambda: stuck(watched, "omnipipe.dev/stage=words"), "a pod has a node and comes no further")
        eventually(lambda: not lacking("delete", "get"), "everything was made")
        hide(watched, [(group, resource) for group, resource, verb in lacking() if verb == "get"])
        eventually(lambda: not lacking("delete"), "what has lost its label was found under its name")
        watched.kubectl("delete", "pods", "-l", "omnipipe.dev/stage=words", "--force", "--grace-period=0")
        watched.apply(fewer_stages_and_new_keys())
        eventually(lambda: runs(watched, "omnipipe.dev/pipeline") and not lacking(), "every right was used")
    except DaemonError as error:
        status = watched.get("omnipipelines.omnipipe.dev/assistant").get("status")
        pytest.fail(f"{error}; not used: {sorted(lacking())}\n{operator.said()}\n{json.dumps(status, indent=1)}")
    assert [question for question in asked.by(user) if not question.allowed] == []


def hide(watched: Namespace, kinds: Iterable[tuple[str, str]]) -> None:
    """Takes the label by which the operator knows its objects off one of each kind."""
    for group, resource in kinds:
        named = watched.kubectl("get", f"{resource}.{group}".rstrip("."), "-l", "omnipipe.dev/pipeline", "-o", "name")
        watched.kubectl("label", named.split()[0], "app.kubernetes.io/managed-by-")


def fewer_stages_and_new_keys() -> Object:
    graph = yaml.safe_load((CHART.parents[1] / "examples/echo-custom-graph.yaml").read_text())
    value = pipeline(graph["spec"])
    return {**value, "metadata": {**value["metadata"], "annotations": {"omnipipe.dev/rotate-keys": "once"}}}


def granted() -> set[tuple[str, str, str]]:
    text = (CHART / "templates/rbac/_rules.tpl").read_text()
    rules = yaml.safe_load(re.sub(r"\{\{-.*?-?\}\}", "", text, flags=re.DOTALL))
    triples = {
        (group, resource, verb)
        for rule in rules
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }
    return (triples | LEASES) - UNSEEN


def finished(watched: Namespace, label: str) -> bool:
    """Says what a kubelet would: all pods with the label have succeeded; whether there were any."""
    return tell(watched, label, {"phase": "Succeeded"})


def runs(watched: Namespace, label: str) -> bool:
    """The same of pods that are well: the new cohort takes over, and what the old one had goes."""
    container = {
        "name": "stage",
        "image": "i",
        "imageID": "i",
        "ready": True,
        "restartCount": 0,
        "state": {"running": {}},
    }
    condition = {"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"}
    return tell(watched, label, {"phase": "Running", "conditions": [condition], "containerStatuses": [container]})


def crashed(watched: Namespace, label: str) -> bool:
    """The same of pods that fail again and again: then their last words are read."""
    waiting = {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off"}}
    ended = {"terminated": {"exitCode": 1, "reason": "Error"}}
    container = {"name": "stage", "image": "i", "imageID": "i", "ready": False, "restartCount": 3}
    status = {"phase": "Running", "containerStatuses": [{**container, "state": waiting, "lastState": ended}]}
    return tell(watched, label, status)


def stuck(watched: Namespace, label: str) -> bool:
    """The same of pods whose container is never made: then the node's warnings are asked for."""
    for pod in watched.get("pods", "-l", label)["items"]:
        if not pod["spec"].get("nodeName"):
            name, target = pod["metadata"]["name"], {"apiVersion": "v1", "kind": "Node", "name": "node"}
            binding = {"apiVersion": "v1", "kind": "Binding", "metadata": {"name": name}, "target": target}
            path = f"/api/v1/namespaces/{watched.name}/pods/{name}/binding"
            watched.kubectl("create", f"--raw={path}", "-f", "-", stdin=json.dumps(binding))
    container = {"name": "stage", "image": "i", "imageID": "", "ready": False, "restartCount": 0}
    waiting = {"waiting": {"reason": "ContainerCreating"}}
    return tell(watched, label, {"phase": "Pending", "containerStatuses": [{**container, "state": waiting}]})


def tell(watched: Namespace, label: str, status: Object) -> bool:
    pods = watched.get("pods", "-l", label)["items"]
    for pod in pods:
        if status.items() <= pod["status"].items():
            continue
        name, patch = pod["metadata"]["name"], json.dumps({"status": status})
        watched.run(
            "patch", f"pod/{name}", "--subresource=status", "--type=merge", "-p", patch
        )  # it may be gone by now
    return bool(pods)
