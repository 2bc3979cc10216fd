"""Draft models: fetched beside the model, read where it is read, or refused by name."""

from typing import Any

import pytest
from tests.unit.operator.children.manifests import OWNER, SETTINGS

from omnipipe.families.registry import family_names, find_family
from omnipipe.spec.reader import ValidatedPipeline, read_object
from omnipipe_operator.children import cohort_objects, draft_problem, fetch_job, make_cohort
from omnipipe_operator.observed import Object

DRAFT = "hf://owner/small@v1"


def validated(model: str, draft: str | None, **cache: Any) -> ValidatedPipeline:
    stage: dict[str, Any] = {"name": "llm"} | ({} if draft is None else {"draft": {"source": draft, "tokens": 3}})
    spec = {"model": {"family": "llm", "source": model, **({"cache": cache} if cache else {})}, "stages": [stage]}
    metadata = {"name": OWNER.name, "namespace": OWNER.namespace}
    value = {"apiVersion": "omnipipe.dev/v1alpha1", "kind": "OmniPipeline", "metadata": metadata, "spec": spec}
    return read_object(value, find_family, family_names())


def job_of(draft: str | None) -> Object:
    pipeline = validated("hf://owner/large", draft, type="SharedClaim", size="9Gi")
    job = fetch_job(pipeline, OWNER, make_cohort(pipeline, OWNER, SETTINGS, (), curve_secret="keys"), SETTINGS)
    assert job is not None
    return job


def test_one_job_fetches_both() -> None:
    job = job_of(DRAFT)

    [container] = job["spec"]["template"]["spec"]["containers"]
    assert container["args"] == ["fetch", "hf://owner/large", DRAFT, "--into", "/models"]
    assert job["metadata"]["name"] != job_of(None)["metadata"]["name"]


def test_a_pod_that_fetches_for_itself_fetches_both() -> None:
    pipeline = validated("hf://owner/large", DRAFT)
    cohort = make_cohort(pipeline, OWNER, SETTINGS, (), curve_secret="keys")
    objects = cohort_objects(pipeline, OWNER, cohort, SETTINGS, replicas={"llm": 1}, gateway_replicas=1)

    deployment = next(o for o in objects if o["kind"] == "Deployment" and "llm" in o["metadata"]["name"])
    [fetch] = deployment["spec"]["template"]["spec"]["initContainers"]
    assert fetch["args"] == ["fetch", "hf://owner/large", DRAFT, "--into", "/models"]
    draft = cohort.plan.stage("llm").engine.draft
    assert draft is not None
    assert (draft.source, draft.tokens) == (DRAFT, 3)


def test_a_claim_is_where_the_pod_mounts_it() -> None:
    pipeline = validated("pvc://weights/large", "pvc://weights/small")
    draft = make_cohort(pipeline, OWNER, SETTINGS, (), curve_secret="keys").plan.stage("llm").engine.draft

    assert draft is not None
    assert draft.source == "file:///models/small"


@pytest.mark.parametrize(
    ("model", "draft", "words"),
    [
        ("hf://owner/large", DRAFT, None),
        ("hf://owner/large", "builtin://tiny-chat", None),
        ("pvc://weights/large", "pvc://weights", None),
        ("builtin://tiny-chat", DRAFT, "beside a model from hf://"),
        ("pvc://weights/large", DRAFT, "beside a model from hf://"),
        ("pvc://weights/large", "pvc://other/small", "on the claim"),
        ("hf://owner/large", "pvc://other/small", "on the claim"),
        ("file:///data/large", "file:///data/small", "not loadable on a cluster"),
    ],
)
def test_what_no_pod_can_load_is_named(model: str, draft: str, words: str | None) -> None:
    problem = draft_problem(validated(model, draft).pipeline.spec)

    assert (problem is None) is (words is None)
    assert words is None or (problem is not None and words in problem and "spec.stages[0].draft.source" in problem)
