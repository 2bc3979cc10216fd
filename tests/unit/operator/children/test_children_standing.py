"""What a pipeline has once: what clients come through, what keeps stages at their size, who may talk to whom, and the
model that is fetched for all."""

from collections.abc import Mapping
from typing import Any

import pytest
from tests.unit.operator.children.manifests import (
    ALL_OPTIONS,
    OWNER,
    render,
    validated,
)

from omnipipe_operator.children import (
    base_url,
    held_replicas,
    kept,
    labels,
    standing_objects,
)
from omnipipe_operator.observed import Object

STAGES = ["ingest", "words", "pitch", "compose", "synth"]


def test_an_echo_pipeline_has_what_it_needs_and_no_more() -> None:
    kinds: dict[str, int] = {}
    for value in render(kinds=frozenset()).objects:
        kinds[value["kind"]] = kinds.get(value["kind"], 0) + 1

    assert kinds == {
        "ConfigMap": 1,
        "Deployment": 6,
        "NetworkPolicy": 6,
        "OmniStage": 5,
        "PodDisruptionBudget": 6,
        "Service": 6,
    }


def test_what_pods_need_comes_before_them() -> None:
    rendered = render(ALL_OPTIONS)
    kinds = [value["kind"] for value in rendered.objects if labels.revision_of(value) is not None]

    assert kinds[0] == "ConfigMap"
    assert set(kinds[kinds.index("Deployment") :]) == {"Deployment"}
    assert rendered.objects[-1]["metadata"]["name"] == f"assistant-gateway-{rendered.cohort.revision}"


def test_clients_reach_the_gateway_of_the_revision_that_serves() -> None:
    objects = standing_objects(validated(ALL_OPTIONS), OWNER, serving="0a1b2c3d", kinds=frozenset())
    [service] = [value for value in objects if value["kind"] == "Service"]

    assert service["metadata"]["name"] == "assistant"
    assert service["metadata"]["annotations"] == {"example.com/internal": "true"}
    assert service["spec"]["type"] == "LoadBalancer"
    assert service["spec"]["selector"][labels.REVISION] == "0a1b2c3d"
    assert (service["spec"]["ports"][0]["port"], service["spec"]["ports"][0]["targetPort"]) == (8080, "http")


def test_routes_lead_to_that_service() -> None:
    rendered = render(ALL_OPTIONS)
    ingress, route = rendered.one("Ingress", ""), rendered.one("HTTPRoute", "")

    [rule] = ingress["spec"]["rules"]
    assert rule["host"] == "models.example.com"
    assert rule["http"]["paths"][0]["backend"] == {"service": {"name": "assistant", "port": {"name": "http"}}}
    assert ingress["spec"]["tls"] == [{"hosts": ["models.example.com"], "secretName": "certificate"}]
    assert (ingress["spec"]["ingressClassName"], ingress["metadata"]["annotations"]) == (
        "nginx",
        {"example.com/timeout": "600"},
    )
    assert route["spec"] == {
        "parentRefs": [{"name": "public", "namespace": "gateways", "sectionName": "https"}],
        "hostnames": ["models.example.com"],
        "rules": [{"backendRefs": [{"name": "assistant", "port": 8080}]}],
    }


def test_kinds_that_the_cluster_lacks_are_left_out() -> None:
    rendered = render(ALL_OPTIONS, kinds=frozenset())

    assert rendered.names("PodMonitor") == rendered.names("HTTPRoute") == []


def test_monitors_find_every_pod_of_every_revision() -> None:
    rendered = render(ALL_OPTIONS)

    for name, component, port in (("stages", "stage", "admin"), ("gateway", "gateway", "http")):
        monitor = rendered.one("PodMonitor", name)
        [endpoint] = monitor["spec"]["podMetricsEndpoints"]
        assert (endpoint["port"], endpoint["path"], endpoint["interval"]) == (port, "/metrics", "15s")
        assert monitor["metadata"]["labels"]["release"] == "prometheus"
        assert monitor["spec"]["selector"]["matchLabels"] == {
            labels.PIPELINE: "assistant",
            labels.COMPONENT: component,
        }
    assert render().names("PodMonitor") == []


@pytest.mark.parametrize(
    ("spec", "url"),
    [
        ({}, "http://assistant.serving.svc/v1"),
        ({"service": {"port": 8080}}, "http://assistant.serving.svc:8080/v1"),
        ({"ingress": {"host": "a.example.com"}}, "http://a.example.com/v1"),
        ({"ingress": {"host": "a.example.com", "tlsSecretName": "c"}}, "https://a.example.com/v1"),
        ({"ingress": {"host": "*.example.com"}}, "http://assistant.serving.svc/v1"),
    ],
)
def test_the_url_is_one_that_clients_can_use(spec: Mapping[str, Any], url: str) -> None:
    assert base_url(validated({"gateway": spec}), OWNER) == url


def test_a_stages_size_is_the_manifests_or_others_to_say() -> None:
    rendered = render(ALL_OPTIONS)

    assert rendered.one("OmniStage", "synth")["spec"] == {"pipeline": "assistant", "stage": "synth", "replicas": 3}
    assert rendered.one("OmniStage", "words")["spec"] == {"pipeline": "assistant", "stage": "words"}


def test_an_autoscaler_turns_the_stage_object() -> None:
    rendered = render(ALL_OPTIONS)
    spec = rendered.one("HorizontalPodAutoscaler", "compose")["spec"]

    assert spec["scaleTargetRef"] == {
        "apiVersion": "omnipipe.dev/v1alpha1",
        "kind": "OmniStage",
        "name": "assistant-compose",
    }
    assert (spec["minReplicas"], spec["maxReplicas"]) == (2, 8)
    assert spec["metrics"][0]["resource"]["target"] == {"type": "Utilization", "averageUtilization": 60}
    assert "replicas" not in rendered.one("OmniStage", "compose")["spec"]
    assert rendered.names("HorizontalPodAutoscaler") == ["compose"]


def test_an_autoscaler_takes_metrics_and_behaviour_as_they_stand() -> None:
    metrics = [{"type": "External", "external": {"metric": {"name": "queue"}, "target": {"type": "Value", "value": 3}}}]
    behavior = {"scaleDown": {"stabilizationWindowSeconds": 60}}
    scaling = {"maxReplicas": 4, "metrics": metrics, "behavior": behavior}

    spec = render({"stages": [{"name": "synth", "autoscaling": scaling}]}).one("HorizontalPodAutoscaler", "synth")[
        "spec"
    ]

    assert (spec["metrics"], spec["behavior"]) == (metrics, behavior)


def test_a_field_that_we_own_is_held_and_no_other() -> None:
    def live(manager: str, operation: str, fields: Object) -> Object:
        entry = {"manager": manager, "operation": operation, "fieldsV1": {"f:spec": fields}}
        return {"metadata": {"managedFields": [entry]}, "spec": {"replicas": 4}}

    assert held_replicas(live("omnipipe-operator", "Apply", {"f:replicas": {}})) == 4
    assert held_replicas(live("omnipipe-operator", "Apply", {"f:stage": {}})) is None
    assert held_replicas(live("kubectl", "Update", {"f:replicas": {}})) is None
    assert held_replicas({"metadata": {}, "spec": {}}) is None

    objects = standing_objects(validated(), OWNER, serving="0", kinds=frozenset(), held={"synth": 4})
    sizes = {o["spec"]["stage"]: o["spec"].get("replicas") for o in objects if o["kind"] == "OmniStage"}
    assert sizes == {**dict.fromkeys(STAGES), "synth": 4}


def test_budgets_hold_across_revisions() -> None:
    rendered = render(ALL_OPTIONS)

    for name in (*STAGES, "gateway"):
        spec = rendered.one("PodDisruptionBudget", name)["spec"]
        assert spec["maxUnavailable"] == 2
        assert labels.REVISION not in spec["selector"]["matchLabels"]
    assert render({"disruptionBudget": {"enabled": False}}).names("PodDisruptionBudget") == []


def test_a_live_object_is_kept_without_what_the_server_wrote() -> None:
    wanted = render().one("Deployment", "synth-REV")
    live = {
        **wanted,
        "metadata": {
            **wanted["metadata"],
            "uid": "u",
            "resourceVersion": "7",
            "generation": 2,
            "creationTimestamp": "2026-11-21T10:00:00Z",
            "managedFields": [],
            "annotations": {"deployment.kubernetes.io/revision": "1", labels.APPLIED: "0"},
        },
        "status": {"replicas": 1},
    }

    assert kept(live) == wanted
    assert kept(live, replicas=9) == {**wanted, "spec": {**wanted["spec"], "replicas": 9}}
