"""Omnipipe installed in the cluster, as a person would: with helm."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from scripts.cluster.programs import find_program
from tests.e2e.cluster import Cluster, Images

__all__ = ["NAMESPACE", "RELEASE", "helm", "installed"]

NAMESPACE = "omnipipe-system"
RELEASE = "omnipipe"
CHART = Path(__file__).parents[2] / "charts" / "omnipipe"
_HELM_S = 180.0


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


@contextmanager
def installed(cluster: Cluster, images: Images) -> Iterator[None]:
    told = ["--set=replicas=1", "--set=images.pullPolicy=IfNotPresent"]
    for target in ("operator", "gateway", "stage"):
        name, _, tag = getattr(images, target).rpartition(":")
        registry, _, repository = name.rpartition("/")
        told += [f"--set=images.{target}.{key}={value}" for key, value in
                 (("registry", registry), ("repository", repository), ("tag", tag))]  # fmt: skip
    helm(cluster, "upgrade", "--install", RELEASE, CHART, "--create-namespace", "--wait", "--timeout=90s", *told)
    try:
        yield
    finally:
        helm(cluster, "uninstall", RELEASE, "--wait")


def _what_it_said(cluster: Cluster) -> str:
    pods = cluster.kubectl(f"--namespace={NAMESPACE}", "get", "pods,events").stdout
    logs = cluster.kubectl(f"--namespace={NAMESPACE}", "logs", f"deployment/{RELEASE}", "--tail=30", "--prefix")
    return f"{pods}\n{logs.stdout}{logs.stderr}"
