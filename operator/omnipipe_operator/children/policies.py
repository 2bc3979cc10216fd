"""NetworkPolicies: who may talk to whom.

Those of stages and gateways belong to a cohort, for another revision may have other edges, and both run side by side
while one takes over. Policies add up: a namespace that needs more allows it in a policy of its own.
"""

from collections.abc import Sequence
from typing import Final

from omnipipe.spec.cluster_fields import ClientSelector, NetworkPolicy
from omnipipe.spec.plan import MediaPlan, Plan
from omnipipe_operator.children import names
from omnipipe_operator.children.containers import ADMIN_PORT, HTTP_PORT, RELAY_PORT
from omnipipe_operator.children.labels import STAGE, Component, selector
from omnipipe_operator.children.meta import metadata
from omnipipe_operator.children.owner import Owner
from omnipipe_operator.observed import Object
from omnipipe_operator.settings import OperatorSettings

__all__ = ["fetch_policy", "gateway_policy", "stage_policy"]

_DNS_PORTS: Final = (53, 5353)
"""A policy is held against the port of the pod behind the Service, which is the second one on OpenShift."""
_CLOSED: Final = ("10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.168.0.0/16")
"""IPv4 that is not public, as far as it matters for pods; the gateway knows it to the last block."""
_NAMESPACE_NAME: Final = "kubernetes.io/metadata.name"


def stage_policy(owner: Owner, plan: Plan, stage: str, *, fetches: bool) -> Object:
    """`fetches`: the pod itself fetches the model, so it may go anywhere: a policy knows pods, not containers."""
    upstream = sorted({edge.source for edge in plan.edges if edge.target == stage})
    downstream = sorted({edge.target for edge in plan.edges if edge.source == stage})
    peers = [{"podSelector": {"matchLabels": selector(owner.name, Component.GATEWAY, revision=plan.revision)}}]
    if upstream:
        peers.append(_stages(owner, plan.revision, upstream))
    egress = [_dns()]
    if downstream:
        egress.append({"to": [_stages(owner, plan.revision, downstream)], "ports": [_tcp(RELAY_PORT)]})
    return _policy(
        owner,
        names.stage_workload(owner.name, stage, plan.revision),
        Component.STAGE,
        stage=stage,
        revision=plan.revision,
        ingress=[{"from": peers, "ports": [_tcp(RELAY_PORT)]}, {"ports": [_tcp(ADMIN_PORT)]}],
        egress=[{}] if fetches else egress,
    )


def gateway_policy(owner: Owner, plan: Plan, spec: NetworkPolicy, settings: OperatorSettings) -> Object:
    """The operator gets in too: it asks each gateway which stages it can route to. Outwards it may go beyond its stages
    where the manifest lets it fetch media: to addresses that the gateway itself takes, so a hole in the one is not one
    in the other."""
    clients: Object = {"ports": [_tcp(HTTP_PORT)]}
    if spec.client_selectors:
        clients["from"] = [*map(_client, spec.client_selectors), *_operator(settings)]
    stages = {"podSelector": {"matchLabels": selector(owner.name, Component.STAGE, revision=plan.revision)}}
    return _policy(
        owner,
        names.gateway_workload(owner.name, plan.revision),
        Component.GATEWAY,
        revision=plan.revision,
        ingress=[clients],
        egress=[_dns(), {"to": [stages], "ports": [_tcp(RELAY_PORT)]}, *_web(plan.gateway.media)],
    )


def fetch_policy(owner: Owner) -> Object:
    """Out to anywhere, in for nobody."""
    return _policy(owner, names.fetch_policy(owner.name), Component.FETCH, ingress=[], egress=[{}])


def _policy(
    owner: Owner,
    name: str,
    component: Component,
    *,
    ingress: list[Object],
    egress: list[Object],
    stage: str = "",
    revision: str = "",
) -> Object:
    own = selector(owner.name, component, stage=stage, revision=revision)
    let_in: Object = {"ingress": ingress} if ingress else {}  # the API server does not keep an empty list
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": metadata(owner, name, component, stage=stage, revision=revision),
        "spec": {
            "podSelector": {"matchLabels": own},
            "policyTypes": ["Ingress", "Egress"],
            **let_in,
            "egress": egress,
        },
    }


def _stages(owner: Owner, revision: str, stages: Sequence[str]) -> Object:
    return {
        "podSelector": {
            "matchLabels": selector(owner.name, Component.STAGE, revision=revision),
            "matchExpressions": [{"key": STAGE, "operator": "In", "values": list(stages)}],
        }
    }


def _client(client: ClientSelector) -> Object:
    """One of the two is given (`omnipipe.spec`); without a namespace it is the pipeline's own."""
    peer: Object = {}
    if client.namespace_labels:
        peer["namespaceSelector"] = {"matchLabels": dict(client.namespace_labels)}
    if client.pod_labels:
        peer["podSelector"] = {"matchLabels": dict(client.pod_labels)}
    return peer


def _operator(settings: OperatorSettings) -> list[Object]:
    if not settings.operator_namespace:
        return []
    return [{"namespaceSelector": {"matchLabels": {_NAMESPACE_NAME: settings.operator_namespace}}}]


def _web(media: MediaPlan) -> list[Object]:
    """Any port: it is part of a URL."""
    if not media.allowed_hosts:
        return []
    public = [
        {"ipBlock": {"cidr": "0.0.0.0/0", "except": list(_CLOSED)}},
        {"ipBlock": {"cidr": "2000::/3"}},  # what is given out as global; all else is private, or of one link
        {"ipBlock": {"cidr": "64:ff9b::/96"}},  # IPv4 addresses, on networks that have none
    ]
    return [{"to": [*public, *({"ipBlock": {"cidr": network}} for network in media.allowed_networks)]}]


def _dns() -> Object:
    return {"ports": [{"port": port, "protocol": protocol} for port in _DNS_PORTS for protocol in ("UDP", "TCP")]}


def _tcp(port: int) -> Object:
    return {"port": port, "protocol": "TCP"}
