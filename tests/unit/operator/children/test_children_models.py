"""The weights: the volume and the Job that fetches once for all, and what no pod can load."""

import dataclasses
from typing import Any

import pytest
from tests.unit.operator.children.manifests import (
    ALL_OPTIONS,
    OWNER,
    SETTINGS,
    SHARED,
    cohort_of,
    job_of,
    render,
    validated,
)

from omnipipe_operator.children import fetch_job, labels, references, source_problem
from omnipipe_operator.observed import Object, Ref


def test_a_shared_model_has_a_volume_and_a_job() -> None:
    rendered = render(ALL_OPTIONS)
    claim, job = rendered.one("PersistentVolumeClaim", "model"), job_of(ALL_OPTIONS)

    assert claim["spec"] == {
        "accessModes": ["ReadWriteMany"],
        "resources": {"requests": {"storage": "200Gi"}},
        "storageClassName": "fast",
    }
    pod = job["spec"]["template"]["spec"]
    [container] = pod["containers"]
    assert container["args"] == ["fetch", "hf://owner/model@main", "--into", "/models"]
    assert {"name": "HF_TOKEN", "valueFrom": {"secretKeyRef": {"name": "hub", "key": "token"}}} in container["env"]
    assert pod["restartPolicy"] == "Never"
    assert (pod["nodeSelector"], pod["schedulerName"]) == ({"disk": "fast"}, "own")
    assert "runtimeClassName" not in pod
    [models] = [volume for volume in pod["volumes"] if volume["name"] == "models"]
    assert models["persistentVolumeClaim"] == {"claimName": "assistant-model"}
    stage = rendered.pod("synth-REV")
    assert "initContainers" not in stage
    [models] = [volume for volume in stage["volumes"] if volume["name"] == "models"]
    assert models["persistentVolumeClaim"] == {"claimName": "assistant-model", "readOnly": True}


def test_an_existing_volume_is_fetched_into_and_not_made() -> None:
    model = {
        "family": "weighty",
        "source": "hf://owner/model",
        "cache": {"type": "ExistingClaim", "claimName": "weights"},
    }
    job = job_of({"model": model})

    [models] = [v for v in job["spec"]["template"]["spec"]["volumes"] if v["name"] == "models"]
    assert models["persistentVolumeClaim"] == {"claimName": "weights"}
    assert render({"model": model}).names("PersistentVolumeClaim") == []


def test_one_model_is_one_job() -> None:
    def variant(**spec: Any) -> Object:
        return job_of({**SHARED, **spec})

    first, tuned = variant(), variant(pod={"env": [{"name": "A", "value": "1"}]})
    other = variant(model={**SHARED["model"], "source": "hf://owner/other"})

    assert first["metadata"]["name"] == tuned["metadata"]["name"] != other["metadata"]["name"]
    assert labels.template_of(first) != labels.template_of(tuned)
    assert first == variant()


def test_a_job_gets_no_container_that_does_not_end() -> None:
    patch = {"spec": {"containers": [{"name": "sidecar", "image": "i"}, {"name": "fetch", "tty": True}]}}

    job = job_of({**SHARED, "pod": {"podTemplate": patch}})

    assert [(c["name"], c.get("tty")) for c in job["spec"]["template"]["spec"]["containers"]] == [("fetch", True)]


@pytest.mark.parametrize("source", ["builtin://small", "pvc://weights", "file:///data"])
def test_other_sources_need_no_job(source: str) -> None:
    pipeline = validated({"model": {"family": "weighty", "source": source}})

    assert fetch_job(pipeline, OWNER, cohort_of(pipeline), SETTINGS) is None


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("s3://bucket/model", "not loadable on a cluster yet"),
        ("oci://example.com/model:1", "not loadable on a cluster yet"),
        ("file:///data/model", "--allow-host-path"),
        ("hf://owner/model", None),
        ("builtin://small", None),
    ],
)
def test_sources_that_no_pod_can_load_are_named(source: str, words: str | None) -> None:
    model = validated({"model": {"family": "weighty", "source": source}}).pipeline.spec.model

    problem = source_problem(model, SETTINGS)

    assert (problem is None) is (words is None)
    assert words is None or (problem is not None and words in problem and "spec.model.source" in problem)


def test_the_nodes_folders_are_for_operators_that_may() -> None:
    model = validated({"model": {"family": "weighty", "source": "file:///data/model"}}).pipeline.spec.model

    assert source_problem(model, dataclasses.replace(SETTINGS, allow_host_path=True)) is None


def test_what_others_have_to_make_is_known() -> None:
    assert references(validated(ALL_OPTIONS)) == (
        Ref("v1", "ConfigMap", "settings-map"),
        Ref("v1", "Secret", "clients"),
        Ref("v1", "Secret", "hub"),
        Ref("v1", "Secret", "settings"),
    )
    claim = {"type": "ExistingClaim", "claimName": "weights"}
    model = {"family": "weighty", "source": "hf://owner/model", "cache": claim}
    assert references(validated({"model": model})) == (Ref("v1", "PersistentVolumeClaim", "weights"),)
    model = {"family": "weighty", "source": "pvc://disk/a"}
    assert references(validated({"model": model})) == (Ref("v1", "PersistentVolumeClaim", "disk"),)
    assert references(validated()) == ()
