"""The chart in a cluster that has never heard of us: installed, upgraded, uninstalled; pipelines outlive it."""

import json
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.cluster.chart.helm import CHART, Helm, objects
from tests.cluster.chart.next_chart import next_chart
from tests.cluster.chart.options import everything, namespaced
from tests.cluster.controlplane import ControlPlane
from tests.cluster.daemon import eventually
from tests.cluster.namespace import Namespace, pipeline

CRD = "crd/omnipipelines.omnipipe.dev"
PIPELINE = "omnipipelines.omnipipe.dev/assistant"


@pytest.fixture
def release(live: Helm, system: Namespace) -> Iterator[str]:
    """Our kinds in the cluster, and nothing of ours when it is over."""
    name = f"omni-{secrets.token_hex(3)}"
    yield name
    live("uninstall", name, f"--namespace={system.name}", "--ignore-not-found")
    system.kubectl("delete", "crd", "omnipipelines.omnipipe.dev", "omnistages.omnipipe.dev", "--ignore-not-found")


def install(live: Helm, system: Namespace, release: str, chart: Path = CHART, values: object = None) -> str:
    return live("upgrade", "--install", release, chart, f"--namespace={system.name}", values=values or {})


def columns_of(system: Namespace) -> list[str]:
    columns = system.get(CRD)["spec"]["versions"][0]["additionalPrinterColumns"]
    return [column["name"] for column in columns]


def webhook_of(system: Namespace, release: str) -> tuple[str, str]:
    """The authority that the API server believes, and the one in the operator's Secret."""
    full = f"{release}-omnipipe"
    configuration = system.get(f"validatingwebhookconfiguration/{system.name}-{full}")
    secret = system.get(f"secret/{full}-webhook")
    return configuration["webhooks"][0]["clientConfig"]["caBundle"], secret["data"]["ca.crt"]


def test_it_installs_into_a_restricted_namespace_and_says_how_to_go_on(
    live: Helm, system: Namespace, release: str
) -> None:
    notes = install(live, system, release)

    system.kubectl("wait", "--for=condition=Established", CRD, "--timeout=100s")
    assert "kubectl" in notes
    assert "curl -N http://localhost:8000/v1/chat/completions" in notes
    eventually(
        lambda: len(system.get("pods", "-l", f"app.kubernetes.io/instance={release}")["items"]) == 2,
        "both pods were let in by the restricted standard",
    )


def test_the_apply_line_of_the_notes_is_right(live: Helm, system: Namespace, release: str) -> None:
    notes = install(live, system, release)

    manifest = notes.partition("<<EOF\n")[2].partition("  EOF")[0]
    system.kubectl("apply", "-f", "-", "--dry-run=server", stdin=manifest)


@pytest.mark.parametrize("mode", ["defaults", "namespaced", "everything", "everything with cert-manager"])
def test_the_api_server_takes_all_of_it(
    mode: str, live: Helm, system: Namespace, release: str, bare: ControlPlane
) -> None:
    """Its own dry run, strict, hooks included; unknown or doubled fields are errors."""
    install(live, system, release)
    values: dict[str, Any] = {
        "defaults": {},
        "namespaced": namespaced(system.name, "default"),
        "everything": everything(),
        "everything with cert-manager": {
            **everything(),
            "webhook": {"enabled": True, "certificates": "certManager"},
        },
    }[mode]

    text = live.template("--is-upgrade", values=values, namespace=system.name)

    made = objects(text)
    how = ("--server-side", "--force-conflicts", "--dry-run=server", "--validate=strict")
    done = bare.kubectl("apply", *how, "-f", "-", stdin=text)
    assert done.returncode == 0, done.stderr
    assert "Warning" not in done.stderr
    assert len(done.stdout.splitlines()) == len(made)


def test_an_upgrade_brings_new_kinds_and_leaves_pipelines_and_certificates(
    live: Helm, system: Namespace, release: str, tmp_path: Path
) -> None:
    live("package", CHART, f"--destination={tmp_path}")
    (package,) = tmp_path.glob("omnipipe-*.tgz")
    install(live, system, release, package, {"webhook": {"enabled": True}})
    system.kubectl("wait", "--for=condition=Established", CRD, "--timeout=100s")
    system.apply(pipeline())
    before, authority = system.get(PIPELINE), webhook_of(system, release)
    assert "New" not in columns_of(system)

    install(live, system, release, next_chart(tmp_path), {"webhook": {"enabled": True}, "replicas": 3})

    assert "New" in columns_of(system)
    assert system.get(PIPELINE) == before
    assert authority[0] == authority[1]
    assert webhook_of(system, release) == authority
    deployment = system.get(f"deployment/{release}-omnipipe")
    assert deployment["spec"]["replicas"] == 3
    assert deployment["spec"]["template"]["spec"]["containers"][0]["image"].endswith(":0.2.0")


def test_pipelines_outlive_the_release_and_the_next_one_takes_them_over(
    live: Helm, system: Namespace, release: str
) -> None:
    install(live, system, release)
    system.kubectl("wait", "--for=condition=Established", CRD, "--timeout=100s")
    system.apply(pipeline())
    uid = system.get(PIPELINE)["metadata"]["uid"]

    live("uninstall", release, f"--namespace={system.name}")

    left = system.get("all,serviceaccount,role,clusterrole", "-l", f"app.kubernetes.io/instance={release}")
    assert [one["metadata"]["name"] for one in left["items"] if one["kind"] not in ("Pod", "ReplicaSet")] == []
    assert system.get(PIPELINE)["metadata"]["uid"] == uid
    install(live, system, release)
    assert system.get(PIPELINE)["metadata"]["uid"] == uid


def test_kinds_that_the_chart_no_longer_brings_are_kept(live: Helm, system: Namespace, release: str) -> None:
    install(live, system, release)

    install(live, system, release, values={"crds": {"install": False}})

    assert system.get(CRD)["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"


def test_kinds_that_kubectl_brought_can_be_taken_over(live: Helm, system: Namespace, release: str) -> None:
    system.kubectl("apply", "--server-side", "-f", CHART.parents[1] / "crds")

    live("install", release, CHART, f"--namespace={system.name}", "--take-ownership", values={})

    assert system.get(CRD)["metadata"]["labels"]["app.kubernetes.io/managed-by"] == "Helm"


def test_a_release_without_the_kinds_says_so(live: Helm, system: Namespace, release: str) -> None:
    with pytest.raises(Exception, match=r"crds\.install is false and the cluster has no omnipipelines"):
        install(live, system, release, values={"crds": {"install": False}})


def test_dashboards_arrive_whole(live: Helm, system: Namespace, release: str) -> None:
    install(live, system, release, values={"dashboards": {"enabled": True}})

    found = system.get("configmap", "-l", "grafana_dashboard=1")["items"]
    boards = [json.loads(text) for one in found for text in one["data"].values()]
    assert sorted(board["uid"] for board in boards) == ["omnipipe-operator", "omnipipe-pipelines"]
