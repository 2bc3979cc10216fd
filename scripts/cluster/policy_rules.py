"""NetworkPolicies as firewall rules of the node: a pure function of what the API server has.

Every packet between pods is routed by the node (see `network.write_cni`): its FORWARD chain sees them all. Packets of
the node itself, and to it, do not pass there and are always let through, as Kubernetes asks for probes.
"""

import ipaddress
import zlib
from collections.abc import Iterable, Mapping
from typing import Any

__all__ = ["CHAIN", "Object", "rules"]

Object = dict[str, Any]

CHAIN = "OMNIPIPE-POLICY"
_ENDED = ("Succeeded", "Failed")


def rules(pods: Iterable[Object], namespaces: Iterable[Object], policies: Iterable[Object]) -> str:
    """What `iptables-restore --noflush` is told. A pod that no policy selects is open, as ever."""
    living = [pod for pod in pods if _is_networked(pod)]
    labels = {one["metadata"]["name"]: one["metadata"].get("labels", {}) for one in namespaces}
    wanted = list(policies)
    chains: dict[str, list[str]] = {CHAIN: ["-m conntrack --ctstate ESTABLISHED,RELATED -j RETURN"]}
    for pod in living:
        mine = [policy for policy in wanted if _selects(policy, pod)]
        for way, key, own in (("Egress", "to", "-s"), ("Ingress", "from", "-d")):
            held = [policy["spec"] for policy in mine if way in _types(policy["spec"])]
            if not held:
                continue
            chain = f"OP-{way[:2].upper()}-{zlib.crc32(pod['metadata']['uid'].encode()):08X}"
            chains[CHAIN].append(f"{own} {pod['status']['podIP']}/32 -j {chain}")
            allowed = (
                line
                for spec in held
                for rule in spec.get(way.lower()) or ()
                for line in _allowed(rule, key, pod, living, labels)
            )
            chains[chain] = [*dict.fromkeys(allowed), "-j DROP"]
    lines = ["*mangle", *(f":{chain} - [0:0]" for chain in chains)]
    lines += [f"-A {chain} {rule}" for chain, own_rules in chains.items() for rule in own_rules]
    return "\n".join([*lines, "COMMIT", ""])


def _allowed(
    rule: Object, key: str, pod: Object, pods: list[Object], labels: Mapping[str, Mapping[str, str]]
) -> Iterable[str]:
    """Each ends in RETURN: the other end's own policies have a say too. A named port is one of the receiving pod's."""
    side = "-d" if key == "to" else "-s"
    peers: list[tuple[str, Object | None]] = []
    if not rule.get(key):
        peers.append(("", None))
    for peer in rule.get(key) or ():
        if "ipBlock" in peer:
            peers += [(f"{side} {part}", None) for part in _block(peer["ipBlock"])]
        else:
            home = pod["metadata"]["namespace"]
            chosen = (other for other in pods if _is_peer(peer, other, home, labels))
            peers += [(f"{side} {other['status']['podIP']}/32", other) for other in chosen]
    for where, peer_pod in peers:
        receiver = peer_pod if key == "to" else pod
        for what in _ports(rule.get("ports"), receiver):
            yield " ".join(part for part in (where, what, "-j RETURN") if part)


def _block(block: Object) -> list[str]:
    """The networks that are left of one when the exceptions are taken out. The cluster has no IPv6."""
    if ":" in block["cidr"]:
        return []
    left = [ipaddress.IPv4Network(block["cidr"])]
    for text in block.get("except") or ():
        out = ipaddress.IPv4Network(text)
        parts = ([one] if not out.subnet_of(one) else list(one.address_exclude(out)) for one in left)
        left = [part for some in parts for part in some]
    return [str(network) for network in left]


def _ports(ports: list[Object] | None, receiver: Object | None) -> Iterable[str]:
    if not ports:
        yield ""
    for one in ports or ():
        protocol = one.get("protocol", "TCP").lower()
        port = one.get("port")
        if isinstance(port, str):
            port = _named(port, receiver)
            if port is None:
                continue
        last = one.get("endPort")
        span = "" if port is None else f" --dport {port}{f':{last}' if last else ''}"
        yield f"-p {protocol}{span}"


def _named(name: str, pod: Object | None) -> int | None:
    for container in pod["spec"]["containers"] if pod else ():
        for port in container.get("ports") or ():
            if port.get("name") == name:
                return int(port["containerPort"])
    return None


def _is_peer(peer: Object, pod: Object, home: str, labels: Mapping[str, Mapping[str, str]]) -> bool:
    there = pod["metadata"]["namespace"]
    if "namespaceSelector" in peer:
        if not _matches(peer["namespaceSelector"], labels.get(there, {})):
            return False
    elif there != home:
        return False
    return _matches(peer.get("podSelector") or {}, pod["metadata"].get("labels", {}))


def _selects(policy: Object, pod: Object) -> bool:
    same = policy["metadata"]["namespace"] == pod["metadata"]["namespace"]
    return same and _matches(policy["spec"].get("podSelector") or {}, pod["metadata"].get("labels", {}))


def _types(spec: Object) -> list[str]:
    given: list[str] = spec.get("policyTypes") or (["Ingress", "Egress"] if spec.get("egress") else ["Ingress"])
    return given


def _is_networked(pod: Object) -> bool:
    status = pod.get("status", {})
    own = not pod["spec"].get("hostNetwork")
    return own and bool(status.get("podIP")) and status.get("phase") not in _ENDED


def _matches(selector: Object, labels: Mapping[str, str]) -> bool:
    if any(labels.get(key) != value for key, value in (selector.get("matchLabels") or {}).items()):
        return False
    return all(_holds(one, labels) for one in selector.get("matchExpressions") or ())


def _holds(expression: Object, labels: Mapping[str, str]) -> bool:
    key, values = expression["key"], expression.get("values") or ()
    match expression["operator"]:
        case "In":
            return labels.get(key) in values
        case "NotIn":
            return labels.get(key) not in values
        case "Exists":
            return key in labels
        case _:
            return key not in labels
