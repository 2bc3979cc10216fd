"""Omnipipe installed in the cluster, as a person would: with helm."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from scripts.cluster.programs import find_program
from tests.e2e.cluster import Cluster, Images

__all__ = ["CHART", "NAMESPACE", "RELEASE", "helm", "install", "installed"]

NAMESPACE = "omnipipe-system"
RELEASE = "omnipipe"
CHART = Path(__file__).parents[2] / "charts" / "omnipipe"
MONITORING = Path(__file__).parents[1] / "cluster" / "chart" / "kinds.yaml"
"""Kinds of the Prometheus operator, among others, without anybody who looks after them."""
_HELM_S = 360.0


def helm(cluster: Cluster, *args: str | Path) -> str:
    done = subprocess.run(
        [find_program("helm"), f"--kubeconfig={cluster.kubeconfig}", f"--namespace={NAMESPACE}", *args],
        capture_output=True,
        text=True,
        timeout=_HELM_S,
        check=False,
        env={"HOME": str(cluster.kubeconfig.parent), "PATH": "/usr/bin:/bin"},
    )
    assert done.returncode == 0, f"helm {args[0]}: {done.stderr}\n{_what_it_said(cluster)}"
    return done.stdout


def install(cluster: Cluster, images: Images, chart: Path = CHART) -> None:
    """Or upgraded, with what may be asked for in addition: on another's cluster without monitors, for which it may have
    no kinds."""
    told = ["--set=replicas=1", "--set=images.pullPolicy=IfNotPresent", "--set=webhook.enabled=true"]
    if cluster.machine is not None:
        told += ["--set=serviceMonitor.enabled=true", "--set=prometheusRule.enabled=true"]
    for target in ("operator", "gateway", "stage"):
        name, _, tag = getattr(images, target).rpartition(":")
        registry, _, repository = name.rpartition("/")
        told += [f"--set=images.{target}.{key}={value}" for key, value in
                 (("registry", registry), ("repository", repository), ("tag", tag))]  # fmt: skip
    helm(cluster, "upgrade", "--install", RELEASE, chart, "--create-namespace", "--wait", "--timeout=240s", *told)


@contextmanager
def installed(cluster: Cluster, images: Images) -> Iterator[None]:
    if cluster.machine is not None:
        done = cluster.kubectl("apply", "--server-side", "-f", MONITORING)
        assert done.returncode == 0, done.stderr
    install(cluster, images)
    try:
        yield
    finally:
        helm(cluster, "uninstall", RELEASE, "--wait")


def _what_it_said(cluster: Cluster) -> str:
    pods = cluster.kubectl(f"--namespace={NAMESPACE}", "get", "pods,events").stdout
    logs = cluster.kubectl(f"--namespace={NAMESPACE}", "logs", f"deployment/{RELEASE}", "--tail=30", "--prefix")
    return f"{pods}\n{logs.stdout}{logs.stderr}"
