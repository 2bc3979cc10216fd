"""Names, addresses and places of the machine's cluster: there is one a machine. Touches nothing."""

import os
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Layout", "Network", "cache_folder"]


def cache_folder() -> Path:
    """What takes long to make and may be kept: programs, the base image, archives of images."""
    given = os.environ.get("OMNIPIPE_CACHE")
    return Path(given or f"{os.environ.get('XDG_CACHE_HOME') or Path.home() / '.cache'}/omnipipe")


@dataclass(frozen=True, slots=True)
class Network:
    """Everything is reachable from this machine and from nowhere else: the namespace has no default route."""

    namespace: str = "omnipipe"
    outside: str = "omnipipe0"
    """This machine's end of the pair of interfaces."""
    outside_ip: str = "10.250.0.1"
    node_ip: str = "10.250.0.2"
    prefix: int = 30
    pods: str = "10.244.0.0/16"
    services: str = "10.96.0.0/16"
    api_service_ip: str = "10.96.0.1"
    dns_ip: str = "10.96.0.10"

    @property
    def path(self) -> Path:
        return Path("/run/netns") / self.namespace


@dataclass(frozen=True, slots=True)
class Layout:
    state: Path = Path("/var/lib/omnipipe-cluster")
    """All of a running cluster, gone with it. Short: a Unix socket's path has 107 characters."""
    node: str = "omnipipe-node"
    cgroup: str = "omnipipe-cluster"
    network: Network = Network()

    @property
    def kubeconfig(self) -> Path:
        return self.state / "kubeconfig"

    @property
    def containerd_socket(self) -> Path:
        return self.state / "containerd.sock"

    @property
    def api_url(self) -> str:
        return f"https://{self.network.node_ip}:6443"

    @property
    def etcd_url(self) -> str:
        return f"http://{self.network.node_ip}:2379"
