"""Names fit into what Kubernetes allows, whatever a pipeline and its stages are called."""

import inspect
import re

import pytest
from tests.unit.operator.children.manifests import ALL_OPTIONS, OWNER, render

from omnipipe.spec.errors import ManifestError
from omnipipe.spec.reader import read_object
from omnipipe_operator.children import labels, names

LONGEST = {"pipeline": "p" * 30, "stage_name": "s" * 20, "revision": "0" * 8, "keys_id": "0" * 8, "model_hash": "0" * 8}


@pytest.mark.parametrize("name", names.__all__)
def test_the_longest_names_fit(name: str) -> None:
    function = getattr(names, name)
    made = function(**{key: LONGEST[key] for key in inspect.signature(function).parameters})

    assert re.fullmatch(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?", made)


@pytest.mark.parametrize(("pipeline", "stage", "legal"), [(30, 20, True), (31, 20, False), (30, 21, False)])
def test_no_longer_ones_are_legal(pipeline: int, stage: int, legal: bool) -> None:
    value = {
        "apiVersion": "omnipipe.dev/v1alpha1",
        "kind": "OmniPipeline",
        "metadata": {"name": "p" * pipeline},
        "spec": {
            "model": {"family": "echo"},
            "stages": [{"name": "s" * stage, "type": "ingest"}, {"name": "t", "type": "words"}],
            "edges": [],
            "outputs": [{"name": "text", "stage": "t"}],
        },
    }

    from omnipipe.families.registry import find_family

    with pytest.raises(ManifestError) as refused:
        read_object(value, find_family, ["echo"])

    assert any("characters" in finding.message for finding in refused.value.findings) is not legal


def test_no_two_objects_of_a_pipeline_are_called_the_same() -> None:
    rendered = render(ALL_OPTIONS)
    called = [(value["kind"], value["metadata"]["name"]) for value in rendered.objects]

    assert len(set(called)) == len(called)


def test_every_object_says_whose_it_is() -> None:
    for value in render(ALL_OPTIONS).objects:
        assert value["metadata"]["namespace"] == OWNER.namespace
        assert OWNER.owns(value)
        assert labels.pipeline_of(value) == OWNER.name
        assert value["metadata"]["labels"]["app.kubernetes.io/managed-by"] == "omnipipe"


def test_what_is_a_cohorts_says_of_which() -> None:
    rendered = render(ALL_OPTIONS)

    for value in rendered.objects:
        of_a_cohort = rendered.cohort.revision in value["metadata"]["name"]
        assert (labels.revision_of(value) == rendered.cohort.revision) is of_a_cohort
