"""Where the control plane's programs are: those that `scripts/setup-cluster.sh` made ready, or that were there already.
Starts nothing."""

import hashlib
import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Programs", "find_programs"]

_LOCK = Path(__file__).parent / "tools" / "go.sum"


@dataclass(frozen=True, slots=True)
class Programs:
    etcd: Path
    kube_apiserver: Path
    kube_controller_manager: Path
    kubectl: Path


def find_programs() -> Programs | str:
    """The programs, or why there is no control plane on this machine."""
    if not sys.platform.startswith("linux"):
        return f"a control plane runs on Linux, this is {sys.platform}"
    places = {
        "etcd": _find("etcd", on_path=True),
        "kube-apiserver": _find("kube-apiserver"),
        "kube-controller-manager": _find("kube-controller-manager"),
        "kubectl": _find("kubectl", on_path=True),
    }
    missing = [name for name, place in places.items() if place is None]
    if missing:
        return f"no {', '.join(missing)}: scripts/setup-cluster.sh makes them ready, or says what it lacks"
    return Programs(*(place for place in places.values() if place is not None))


def _find(name: str, *, on_path: bool = False) -> Path | None:
    cache = os.environ.get("OMNIPIPE_CACHE")
    if cache is None:
        cache = f"{os.environ.get('XDG_CACHE_HOME') or Path.home() / '.cache'}/omnipipe"
    built = Path(cache) / f"kube-{hashlib.sha256(_LOCK.read_bytes()).hexdigest()[:16]}"
    given = os.environ.get("KUBEBUILDER_ASSETS")
    for folder in ([Path(given)] if given else []) + [built]:
        if os.access(folder / name, os.X_OK):
            return folder / name
    found = shutil.which(name) if on_path else None
    return Path(found) if found else None
