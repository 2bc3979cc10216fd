"""What makes a cohort another one, what changes its pods in place, and what its processes read."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import pytest
from tests.unit.operator.children.manifests import OWNER, SETTINGS, cohort_of, render, validated

from omnipipe.spec.plan import Plan
from omnipipe_operator.children import Cohort, Images, labels
from omnipipe_operator.observed import Object
from omnipipe_operator.settings import OperatorSettings

IMAGES = Images(SETTINGS.gateway_image, SETTINGS.stage_image)
NEWER = OperatorSettings(gateway_image="example.com/gateway:2", stage_image="example.com/stage:2")


def plan_map(spec: Mapping[str, Any] | None = None, **more: Any) -> Object:
    rendered = render(spec, **more)
    return rendered.one("ConfigMap", "plan-REV")


def templates(spec: Mapping[str, Any] | None = None, **more: Any) -> dict[str, Object]:
    rendered = render(spec, **more)
    deployments = [value for value in rendered.objects if value["kind"] == "Deployment"]
    return {value["metadata"]["name"].split("-")[1]: value["spec"]["template"] for value in deployments}


def rolled(before: dict[str, Object], after: dict[str, Object]) -> set[str]:
    return {name for name in after if after[name] != before[name]}


def test_processes_read_the_plan_that_was_meant() -> None:
    rendered = render()

    read = Plan.from_json(rendered.one("ConfigMap", "plan-REV")["data"]["plan.json"])

    assert read == rendered.cohort.plan
    assert read.revision == rendered.cohort.revision
    assert (read.namespace, read.transport.curve) == (OWNER.namespace, True)


def test_a_stage_is_found_through_its_service() -> None:
    rendered = render()
    service = rendered.one("Service", "synth-REV")

    [address] = rendered.cohort.plan.stage("synth").addresses

    assert address == f"dns+tcp://{service['metadata']['name']}.serving.svc:5600"
    assert service["spec"]["ports"][0]["port"] == 5600
    assert service["spec"]["clusterIP"] == "None"


def test_the_clusters_domain_is_appended_when_it_is_known() -> None:
    settings = dataclasses.replace(SETTINGS, cluster_domain="cluster.example")

    [address] = cohort_of(validated(), settings).plan.stage("synth").addresses

    assert address.endswith(".serving.svc.cluster.example:5600")


def test_what_is_at_its_default_is_not_in_the_text() -> None:
    """A process of last year does not know next year's fields."""
    text = plan_map()["data"]["plan.json"]

    assert '"version": 1' in text
    assert "max_retries" not in text


@pytest.mark.parametrize(
    ("spec", "another"),
    [
        ({}, False),
        ({"stages": [{"name": "synth", "replicas": 5}]}, False),
        ({"stages": [{"name": "synth", "maxRunning": 7}]}, False),
        ({"pod": {"image": "another"}}, False),
        ({"gateway": {"maxInFlight": 3}}, False),
        ({"stages": [{"name": "synth", "params": {"delay_ms": 1}}]}, True),
        ({"stages": [{"name": "synth", "engine": {"maxBatch": 4}}]}, True),
    ],
)
def test_the_revision_is_another_when_processes_could_not_work_together(spec: Mapping[str, Any], another: bool) -> None:
    before, after = cohort_of(validated()), cohort_of(validated(spec))

    assert (before.revision != after.revision) is another


def test_other_keys_are_another_cohort_and_a_restart_is_not() -> None:
    before = cohort_of(validated())

    assert cohort_of(validated(), curve_secret="assistant-curve-ffffffff").revision != before.revision
    assert cohort_of(validated(), restart="now").revision == before.revision


@pytest.mark.parametrize(
    ("spec", "who"),
    [
        ({"stages": [{"name": "synth", "replicas": 5}]}, set()),
        ({"gateway": {"replicas": 3}}, set()),
        ({"stages": [{"name": "synth", "maxRunning": 7}]}, {"synth", "gateway"}),
        ({"stages": [{"name": "synth", "pod": {"image": "another"}}]}, {"synth"}),
        ({"gateway": {"maxInFlight": 3}}, {"gateway"}),
        ({"gateway": {"pod": {"env": [{"name": "A", "value": "1"}]}}}, {"gateway"}),
        ({"monitoring": {"enabled": True}, "networkPolicy": {"enabled": False}}, set()),
        ({"gateway": {"service": {"port": 8080}}}, set()),
        ({"pod": {"image": "another"}}, {"ingest", "words", "pitch", "compose", "synth"}),
        ({"transport": {"heartbeatSeconds": 0.1}}, {"ingest", "words", "pitch", "compose", "synth", "gateway"}),
    ],
)
def test_in_place_only_those_roll_that_are_concerned(spec: Mapping[str, Any], who: set[str]) -> None:
    assert rolled(templates(), templates(spec)) == who


def test_a_restart_rolls_everybody_in_place() -> None:
    before, after = templates(), templates(restart="2026-11-21")

    assert rolled(before, after) == set(before)
    assert {t["metadata"]["annotations"][labels.RESTART] for t in after.values()} == {"2026-11-21"}


def test_a_newer_operator_leaves_a_cohorts_images_alone() -> None:
    first = plan_map()

    assert cohort_of(validated(), NEWER).images == Images(NEWER.gateway_image, NEWER.stage_image)
    assert cohort_of(validated(), NEWER, children=[first]).images == IMAGES


def test_a_restart_takes_the_newer_operators_images() -> None:
    first = plan_map()

    restarted = cohort_of(validated(), NEWER, children=[first], restart="now")
    assert restarted.images == Images(NEWER.gateway_image, NEWER.stage_image)

    again = plan_map(settings=NEWER, restart="now", children=[first])
    assert cohort_of(validated(), SETTINGS, children=[again], restart="now").images == restarted.images


@pytest.mark.parametrize("change", ["owner", "annotation", "revision"])
def test_images_are_taken_from_the_cohorts_own_plan_alone(change: str) -> None:
    other = plan_map()
    match change:
        case "owner":
            other["metadata"]["ownerReferences"][0]["uid"] = "another"
        case "annotation":
            del other["metadata"]["annotations"][labels.STAGE_IMAGE]
        case _:
            other["metadata"]["name"] = "assistant-plan-ffffffff"

    assert cohort_of(validated(), NEWER, children=[other]).images != IMAGES


def test_rendering_is_a_function() -> None:
    def once() -> tuple[Cohort, list[Object]]:
        rendered = render()
        return rendered.cohort, rendered.objects

    assert once() == once()
