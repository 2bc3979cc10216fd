"""NetworkPolicies as firewall rules."""

from typing import Any

from scripts.cluster.policy_rules import CHAIN, rules

Object = dict[str, Any]


def pod(name: str, ip: str, namespace: str = "here", phase: str = "Running", **labels: str) -> Object:
    ports = [{"name": "relay", "containerPort": 5600}]
    return {
        "metadata": {"name": name, "namespace": namespace, "uid": f"{namespace}/{name}", "labels": labels},
        "spec": {"containers": [{"name": "main", "ports": ports}]},
        "status": {"podIP": ip, "phase": phase},
    }


def policy(selector: Object, **spec: object) -> Object:
    return {"metadata": {"name": "one", "namespace": "here"}, "spec": {"podSelector": selector, **spec}}


def namespace(name: str, **labels: str) -> Object:
    return {"metadata": {"name": name, "labels": labels}}


SPACES = [namespace("here"), namespace("there", team="red")]


def chain_of(text: str, own: str) -> list[str]:
    """The rules of the chain into which packets with this address are sent."""
    lines = text.splitlines()
    [chain] = [line.split()[-1] for line in lines if line.startswith(f"-A {CHAIN} {own}")]
    return [line.removeprefix(f"-A {chain} ") for line in lines if line.startswith(f"-A {chain} ")]


def test_without_policies_everything_is_open() -> None:
    text = rules([pod("a", "10.0.0.1")], SPACES, [])

    assert "DROP" not in text


def test_a_selected_pod_hears_those_who_are_named_on_the_port_that_is_named() -> None:
    pods = [pod("a", "10.0.0.1", app="a"), pod("b", "10.0.0.2", app="b"), pod("c", "10.0.0.3", app="c")]
    ingress = [{"from": [{"podSelector": {"matchLabels": {"app": "b"}}}], "ports": [{"port": "relay"}]}]

    text = rules(pods, SPACES, [policy({"matchLabels": {"app": "a"}}, ingress=ingress)])

    assert chain_of(text, "-d 10.0.0.1/32") == ["-s 10.0.0.2/32 -p tcp --dport 5600 -j RETURN", "-j DROP"]
    assert text.count("DROP") == 1, "the others stay open, and so does what the pod itself says"


def test_no_rule_is_nobody() -> None:
    text = rules([pod("a", "10.0.0.1")], SPACES, [policy({}, policyTypes=["Ingress", "Egress"])])

    assert chain_of(text, "-d 10.0.0.1/32") == ["-j DROP"]
    assert chain_of(text, "-s 10.0.0.1/32") == ["-j DROP"]


def test_an_empty_rule_is_everybody() -> None:
    text = rules([pod("a", "10.0.0.1")], SPACES, [policy({}, ingress=[{}])])

    assert chain_of(text, "-d 10.0.0.1/32") == ["-j RETURN", "-j DROP"]


def test_policies_add_up() -> None:
    given = [policy({}, ingress=[{"ports": [{"port": port}]}]) for port in (80, 81)]

    text = rules([pod("a", "10.0.0.1")], SPACES, given)

    assert chain_of(text, "-d 10.0.0.1/32") == ["-p tcp --dport 80 -j RETURN", "-p tcp --dport 81 -j RETURN", "-j DROP"]


def test_other_namespaces_are_chosen_by_their_labels() -> None:
    pods = [pod("a", "10.0.0.1"), pod("b", "10.0.0.2", "there"), pod("c", "10.0.0.3", "there", "Succeeded")]
    egress = [{"to": [{"namespaceSelector": {"matchLabels": {"team": "red"}}}]}]

    text = rules(pods, SPACES, [policy({}, policyTypes=["Egress"], egress=egress)])

    assert chain_of(text, "-s 10.0.0.1/32") == ["-d 10.0.0.2/32 -j RETURN", "-j DROP"]


def test_a_block_has_its_exceptions() -> None:
    block = {"cidr": "10.1.0.0/30", "except": ["10.1.0.0/31"]}
    ports = [{"port": 1000, "endPort": 2000, "protocol": "UDP"}]

    text = rules([pod("a", "10.0.0.1")], SPACES, [policy({}, ingress=[{"from": [{"ipBlock": block}], "ports": ports}])])

    assert chain_of(text, "-d 10.0.0.1/32") == ["-s 10.1.0.2/31 -p udp --dport 1000:2000 -j RETURN", "-j DROP"]


def test_expressions() -> None:
    expressions = [
        {"key": "app", "operator": "In", "values": ["a", "b"]},
        {"key": "app", "operator": "NotIn", "values": ["b"]},
        {"key": "app", "operator": "Exists"},
        {"key": "gone", "operator": "DoesNotExist"},
    ]
    pods = [pod("a", "10.0.0.1", app="a"), pod("b", "10.0.0.2", app="b"), pod("c", "10.0.0.3")]

    text = rules(pods, SPACES, [policy({"matchExpressions": expressions}, ingress=[])])

    assert text.count("DROP") == 1
    assert chain_of(text, "-d 10.0.0.1/32") == ["-j DROP"]
