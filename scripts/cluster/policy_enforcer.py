"""The process that holds the node's firewall to the cluster's NetworkPolicies. It looks again and again rather than
watching: it is for one small node. Runs inside the cluster's network namespace, as `python -m` of this module."""

import sys
import time
from typing import Final

from scripts.cluster.api import Api
from scripts.cluster.errors import ClusterError
from scripts.cluster.layout import Layout
from scripts.cluster.policy_rules import CHAIN, rules
from scripts.cluster.processes import call

_EVERY_S: Final = 0.5
_IPTABLES: Final = ("iptables", "--wait=5", "--table=mangle")
"""A table that kube-proxy leaves alone, and that packets meet before the one where it accepts them."""
_LISTS: Final = ("/api/v1/pods", "/api/v1/namespaces", "/apis/networking.k8s.io/v1/networkpolicies")


def main() -> None:
    layout = Layout()
    api = Api(layout, layout.state / "certificates")
    call(*_IPTABLES, "-N", CHAIN)
    call(*_IPTABLES, "-A", "FORWARD", "-j", CHAIN)
    before = ""
    while True:
        try:
            # From the server's cache, and so as cheap as a list can be.
            wanted = rules(*(api.get(f"{path}?resourceVersion=0")["items"] for path in _LISTS))
            if wanted != before:
                # Chains of pods that are gone stay, without callers, until the cluster goes.
                call("iptables-restore", "--noflush", "--wait=5", stdin=wanted)
                before = wanted
        except ClusterError as error:
            sys.stderr.write(f"{error}\n")
        time.sleep(_EVERY_S)


if __name__ == "__main__":
    main()
