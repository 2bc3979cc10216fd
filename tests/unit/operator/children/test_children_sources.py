"""Sources of models and drafts, one rule after another; and routes as their API takes them."""

import dataclasses
from typing import Any

import pytest
from tests.unit.operator.children.manifests import OWNER, SETTINGS, render, validated

from omnipipe.spec.cluster_fields import Cache
from omnipipe.spec.manifest import ModelSpec, PipelineSpec
from omnipipe_operator.children import draft_problem, source_problem
from omnipipe_operator.children.models import draft_source, drafts_of, weights_of
from omnipipe_operator.children.services import base_url
from omnipipe_operator.settings import OperatorSettings

MOUNTING = dataclasses.replace(SETTINGS, allow_host_path=True)


def spec(source: str | None, **drafts: str) -> PipelineSpec:
    stages = [{"name": stage, "draft": {"source": draft}} for stage, draft in drafts.items()]
    model = ModelSpec(family="llm", source=source, cache=Cache())
    return PipelineSpec.model_validate({"model": model, "stages": [{"name": "idle"}, *stages]})


@pytest.mark.parametrize(
    ("source", "settings", "words"),
    [
        (None, SETTINGS, None),
        ("hf://o/m", SETTINGS, None),
        ("pvc://disk/m", SETTINGS, None),
        ("builtin://m", SETTINGS, None),
        ("file:///m", SETTINGS, "file:// is a folder of the node"),
        ("file:///m", MOUNTING, None),
        ("s3://bucket/m", SETTINGS, "s3:// is not loadable on a cluster yet"),
        ("oci://h/m:1", MOUNTING, "oci:// is not loadable on a cluster yet"),
    ],
)
def test_what_this_operators_pods_can_load(source: str | None, settings: OperatorSettings, words: str | None) -> None:
    found = source_problem(spec(source).model, settings)

    assert (found is None) == (words is None)
    assert found is None or found.startswith(f"spec.model.source: {words}")


@pytest.mark.parametrize(
    ("source", "draft", "words"),
    [
        (None, "hf://o/d", "beside a model from hf:// only"),
        ("pvc://disk/m", "hf://o/d", "beside a model from hf:// only"),
        ("hf://o/m", "hf://o/d", None),
        ("hf://o/m", "pvc://disk/d", "on the claim that spec.model.source names"),
        (None, "pvc://disk/d", "on the claim that spec.model.source names"),
        ("pvc://disk/m", "pvc://disk/d", None),
        ("pvc://disk/m", "pvc://other/d", "on the claim that spec.model.source names"),
        (None, "builtin://d", None),
        ("hf://o/m", "s3://bucket/d", "not loadable on a cluster for a draft model"),
    ],
)
def test_which_drafts_they_can(source: str | None, draft: str, words: str | None) -> None:
    found = draft_problem(spec(source, thinker=draft))

    assert (found is None) == (words is None)
    assert found is None or (found.startswith("spec.stages[1].draft.source: ") and words is not None and words in found)


def test_each_pod_fetches_its_own_stages_draft_and_the_job_all_once() -> None:
    several = spec("hf://o/m", a="hf://o/z", b="hf://o/d", c="hf://o/z", d="builtin://x")

    assert drafts_of(several) == ("hf://o/d", "hf://o/z")
    assert drafts_of(several, "b") == ("hf://o/d",)
    assert drafts_of(several, "idle") == drafts_of(several, "d") == ()


def test_where_a_pod_finds_them() -> None:
    def seen(source: str) -> str | None:
        return weights_of(spec(source).model, OWNER).source

    assert (seen("pvc://disk/a/b"), seen("pvc://disk")) == ("file:///models/a/b", "file:///models")
    assert (draft_source("pvc://disk/a/b"), draft_source("pvc://disk")) == ("file:///models/a/b", "file:///models")
    assert draft_source("hf://o/d") == "hf://o/d"
    assert weights_of(spec("file:///data/m").model, OWNER).volumes == [
        {"name": "models", "hostPath": {"path": "/data/m"}}
    ]


def test_a_route_is_of_the_gateway_api_and_names_only_what_was_given() -> None:
    route: dict[str, Any] = {"httpRoute": {"parentRefs": [{"name": "public"}]}}
    found = render({"gateway": route}).one("HTTPRoute", "")

    assert (found["apiVersion"], found["kind"]) == ("gateway.networking.k8s.io/v1", "HTTPRoute")
    assert found["spec"]["parentRefs"] == [{"name": "public"}]
    assert "hostnames" not in found["spec"]


@pytest.mark.parametrize(("port", "shown"), [(80, ""), (8080, ":8080"), (443, ":443")])
def test_the_url_has_a_port_where_there_is_need_of_one(port: int, shown: str) -> None:
    found = base_url(validated({"gateway": {"service": {"port": port}}}), OWNER)

    assert found == f"http://assistant.serving.svc{shown}/v1"


def test_an_autoscaler_is_of_the_api_that_knows_behaviour() -> None:
    scaled = {"stages": [{"name": "synth", "autoscaling": {"maxReplicas": 4}}]}
    found = render(scaled).one("HorizontalPodAutoscaler", "synth")

    assert found["apiVersion"] == "autoscaling/v2"
    assert found["spec"]["metrics"][0]["resource"]["target"]["averageUtilization"] == 80


def test_without_budgets_there_are_none() -> None:
    assert render({"disruptionBudget": {"enabled": False}}).names("PodDisruptionBudget") == []
    assert render().names("PodDisruptionBudget") != []


def test_who_fetches_asks_for_no_devices() -> None:
    """A Job would keep one from a stage."""
    resources = {"requests": {"cpu": "1", "nvidia.com/gpu": "1"}, "limits": {"memory": "1Gi", "nvidia.com/gpu": "1"}}
    fetched = {"model": {"family": "weighty", "source": "hf://owner/model"}, "pod": {"resources": resources}}
    pod = render(fetched).pod("synth-REV")
    [fetch] = pod["initContainers"]

    assert fetch["resources"] == {"requests": {"cpu": "1"}, "limits": {"memory": "1Gi"}}
    assert {"name": "tmp", "mountPath": "/tmp"} in fetch["volumeMounts"]
    assert pod["containers"][0]["resources"] == resources
