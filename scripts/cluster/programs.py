"""Where the programs of a cluster are: what `scripts/setup-cluster.sh` made ready, or what was there already."""

import hashlib
import os
import shutil
import sys
from collections.abc import Iterable
from pathlib import Path

from scripts.cluster.errors import CannotRun
from scripts.cluster.layout import cache_folder

__all__ = ["BUILT", "CNI_FOLDERS", "SYSTEM", "check_machine", "find_program", "require"]

ROOT = Path(__file__).parents[2]
_LOCK = ROOT / "tests" / "cluster" / "tools" / "go.sum"

BUILT = (
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kubelet",
    "kube-proxy",
    "kubectl",
    "coredns",
    "pause",
)
"""From source, by scripts/setup-cluster.sh."""
SYSTEM = ("etcd", "containerd", "ctr", "runc", "iptables", "conntrack", "ip", "nsenter", "openssl", "mount", "umount")
"""From the machine's own packages."""
CNI_FOLDERS = (Path("/usr/lib/cni"), Path("/opt/cni/bin"), Path("/usr/libexec/cni"))


def check_machine() -> None:
    """Raises CannotRun, in one line, unless a cluster can be started here."""
    if not sys.platform.startswith("linux"):
        raise CannotRun(f"a cluster of its own runs on Linux, this is {sys.platform}; set KUBECONFIG to use another")
    if os.geteuid() != 0:
        raise CannotRun("a cluster of its own needs root (namespaces, mounts, cgroups); set KUBECONFIG to use another")
    require((*BUILT, *SYSTEM))
    if not any((folder / "ptp").exists() for folder in CNI_FOLDERS):
        raise CannotRun("no CNI plugins (ptp, host-local); on Debian: apt-get install containernetworking-plugins")


def require(names: Iterable[str]) -> None:
    missing = [name for name in names if _look(name) is None]
    if missing:
        raise CannotRun(f"no {', '.join(missing)}: scripts/setup-cluster.sh makes them ready, or says what it lacks")


def find_program(name: str) -> Path:
    """Raises CannotRun."""
    found = _look(name)
    if found is None:
        require([name])
        raise CannotRun(f"no {name}")
    return found


def _look(name: str) -> Path | None:
    given = os.environ.get("KUBEBUILDER_ASSETS")
    built = cache_folder() / f"kube-{hashlib.sha256(_LOCK.read_bytes()).hexdigest()[:16]}"
    for folder in ([Path(given)] if given else []) + [built]:
        if os.access(folder / name, os.X_OK):
            return folder / name
    found = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin:/usr/bin:/bin")
    return Path(found) if found else None
