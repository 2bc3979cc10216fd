"""Where the control plane's programs are: those that `scripts/setup-cluster.sh` made ready, or that were there already.
Starts nothing."""

import hashlib
import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Programs", "find_programs", "find_tool"]

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
        "etcd": find_tool("etcd", on_path=True),
        "kube-apiserver": find_tool("kube-apiserver"),
        "kube-controller-manager": find_tool("kube-controller-manager"),
        "kubectl": find_tool("kubectl", on_path=True),
    }
    missing = [name for name, place in places.items() if place is None]
    if missing:
        return f"no {', '.join(missing)}: scripts/setup-cluster.sh makes them ready, or says what it lacks"
    return Programs(*(place for place in places.values() if place is not None))


def find_tool(name: str, *, on_path: bool = False) -> Path | None:
    """A program by its name, built or found."""
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
