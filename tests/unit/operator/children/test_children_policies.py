"""Who may talk to whom."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import pytest
from tests.unit.operator.children.manifests import ALL_OPTIONS, SETTINGS, SHARED, Rendered, job_of, render

from omnipipe_operator.children import labels
from omnipipe_operator.observed import Object


def peers(rendered: Rendered, stage: str) -> list[tuple[str, list[str]]]:
    """Who may reach a stage's relay port: component, and which stages."""
    relay, _ = rendered.one("NetworkPolicy", f"{stage}-REV")["spec"]["ingress"]
    assert relay["ports"] == [{"port": 5600, "protocol": "TCP"}]
    found = []
    for peer in relay["from"]:
        selector = peer["podSelector"]
        assert selector["matchLabels"][labels.REVISION] == rendered.cohort.revision
        names = [name for one in selector.get("matchExpressions", ()) for name in one["values"]]
        found.append((selector["matchLabels"][labels.COMPONENT], names))
    return found


def test_only_the_gateway_and_stages_upstream_reach_a_stage() -> None:
    rendered = render()

    assert peers(rendered, "ingest") == [("gateway", [])]
    assert peers(rendered, "compose") == [("gateway", []), ("stage", ["pitch", "words"])]


def test_metrics_are_for_all() -> None:
    _, metrics = render().one("NetworkPolicy", "synth-REV")["spec"]["ingress"]

    assert metrics == {"ports": [{"port": 9000, "protocol": "TCP"}]}


def test_stages_reach_names_and_stages_downstream() -> None:
    rendered = render()
    ports = [{"port": port, "protocol": protocol} for port in (53, 5353) for protocol in ("UDP", "TCP")]
    names = {"ports": ports}

    dns, down = rendered.one("NetworkPolicy", "ingest-REV")["spec"]["egress"]
    assert dns == names
    assert down["to"][0]["podSelector"]["matchExpressions"][0]["values"] == ["pitch", "words"]
    assert rendered.one("NetworkPolicy", "synth-REV")["spec"]["egress"] == [names]


def test_who_fetches_may_go_anywhere() -> None:
    in_pod = render({"model": {"family": "weighty", "source": "hf://owner/model"}})
    by_job = render(SHARED)

    assert in_pod.one("NetworkPolicy", "synth-REV")["spec"]["egress"] == [{}]
    assert by_job.one("NetworkPolicy", "synth-REV")["spec"]["egress"] != [{}]
    fetch = by_job.one("NetworkPolicy", "fetch")["spec"]
    assert (fetch["egress"], fetch.get("ingress"), fetch["policyTypes"]) == ([{}], None, ["Ingress", "Egress"])
    assert fetch["podSelector"]["matchLabels"].items() <= (
        job_of(SHARED)["spec"]["template"]["metadata"]["labels"].items()
    )


def test_a_gateway_goes_outside_only_to_fetch_media_and_only_to_what_is_public() -> None:
    media = {"allowedHosts": ["media.example.com"], "allowedNetworks": ["10.1.2.0/24"]}
    closed = render().one("NetworkPolicy", "gateway-REV")["spec"]["egress"]
    fetching = render({"gateway": {"media": media}}).one("NetworkPolicy", "gateway-REV")["spec"]["egress"]

    assert fetching[:2] == closed and len(closed) == 2
    [web] = fetching[2:]
    assert "ports" not in web
    blocks = [peer["ipBlock"] for peer in web["to"]]
    assert [block["cidr"] for block in blocks] == ["0.0.0.0/0", "2000::/3", "64:ff9b::/96", "10.1.2.0/24"]
    assert {"10.0.0.0/8", "169.254.0.0/16"} <= set(blocks[0]["except"])


def test_everybody_reaches_the_gateway_unless_clients_are_named() -> None:
    settings = dataclasses.replace(SETTINGS, operator_namespace="omnipipe-system")
    [anybody] = render({}, settings).one("NetworkPolicy", "gateway-REV")["spec"]["ingress"]
    [named] = render(ALL_OPTIONS, settings).one("NetworkPolicy", "gateway-REV")["spec"]["ingress"]

    assert anybody == {"ports": [{"port": 8000, "protocol": "TCP"}]}
    assert named["from"] == [
        {"namespaceSelector": {"matchLabels": {"team": "apps"}}, "podSelector": {"matchLabels": {"role": "client"}}},
        {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "omnipipe-system"}}},
    ]


@pytest.mark.parametrize(
    ("selector", "peer"),
    [
        ({"podLabels": {"a": "b"}}, {"podSelector": {"matchLabels": {"a": "b"}}}),
        ({"namespaceLabels": {"a": "b"}}, {"namespaceSelector": {"matchLabels": {"a": "b"}}}),
    ],
)
def test_clients_are_named_by_namespace_or_pod(selector: Mapping[str, Any], peer: Object) -> None:
    rendered = render({"networkPolicy": {"clientSelectors": [selector]}})

    assert rendered.one("NetworkPolicy", "gateway-REV")["spec"]["ingress"][0]["from"] == [peer]


def test_policies_can_be_left_to_others() -> None:
    assert render({**SHARED, "networkPolicy": {"enabled": False}}).names("NetworkPolicy") == []
