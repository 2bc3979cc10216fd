"""The cluster's network namespace, and what leads from this machine into it. Deleting it deletes the cluster's
interfaces, routes and firewall rules; the machine's own firewall is never touched."""

import json
from pathlib import Path

from scripts.cluster.errors import ClusterError
from scripts.cluster.layout import Network
from scripts.cluster.processes import call

__all__ = ["make_network", "remove_network", "write_cni"]


def make_network(network: Network) -> None:
    inside = ("nsenter", f"--net={network.path}", "--")
    call("ip", "netns", "add", network.namespace)
    call("ip", "link", "add", network.outside, "type", "veth", "peer", "name", "eth0", "netns", network.namespace)
    call("ip", "addr", "add", f"{network.outside_ip}/{network.prefix}", "dev", network.outside)
    call("ip", "link", "set", network.outside, "up")
    call(*inside, "ip", "addr", "add", f"{network.node_ip}/{network.prefix}", "dev", "eth0")
    for name in ("lo", "eth0"):
        call(*inside, "ip", "link", "set", name, "up")
    call(*inside, "sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward")
    # Without a default route the node's own packets to a service would be refused before the firewall rewrites them.
    call(*inside, "ip", "route", "add", network.services, "dev", "lo", "src", network.node_ip)
    for there in (network.pods, network.services):
        call("ip", "route", "add", there, "via", network.node_ip, "dev", network.outside)


def remove_network(network: Network) -> None:
    if network.path.exists():
        call("ip", "netns", "delete", network.namespace)
    try:  # goes with its other end, a moment after the last process there
        call("ip", "link", "delete", network.outside)
    except ClusterError as error:
        if "Cannot find device" not in str(error):
            raise


def write_cni(network: Network, folder: Path, addresses: Path) -> None:
    """One routed pair of interfaces a pod, no bridge: a reply from a pod to a pod passes the node's firewall, which
    turns a service's address back, whether or not the kernel filters bridged packets."""
    folder.mkdir(parents=True)
    plugin = {
        "type": "ptp",
        "ipMasq": False,
        "mtu": 1400,
        "ipam": {
            "type": "host-local",
            "subnet": network.pods,
            "routes": [{"dst": "0.0.0.0/0"}],
            "dataDir": str(addresses),
        },
    }
    loose = {"cniVersion": "0.4.0", "name": "omnipipe", "plugins": [plugin, {"type": "portmap"}]}
    (folder / "10-omnipipe.conflist").write_text(json.dumps(loose), encoding="utf-8")
