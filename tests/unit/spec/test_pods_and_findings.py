"""What is right and wrong with pods and tolerations, and which findings are told beside others."""

from typing import Any

import pytest

from omnipipe.families.registry import family_names, find_family
from omnipipe.spec.errors import ManifestError
from omnipipe.spec.reader import read_object


def findings(spec: dict[str, Any], name: str = "a") -> dict[str, str]:
    """Path below spec -> words; empty: it is valid."""
    manifest = {
        "apiVersion": "omnipipe.dev/v1alpha1",
        "kind": "OmniPipeline",
        "metadata": {"name": name},
        "spec": {"model": {"family": "echo"}, **spec},
    }
    try:
        read_object(manifest, find_family, family_names())
    except ManifestError as error:
        return {finding.path.removeprefix("spec."): finding.message for finding in error.findings}
    return {}


def pod(requests: dict[str, str], limits: dict[str, str]) -> dict[str, Any]:
    return {"pod": {"resources": {"requests": requests, "limits": limits}}}


@pytest.mark.parametrize(
    ("requests", "limits", "wrong"),
    [
        ({"nvidia.com/gpu": "1"}, {"nvidia.com/gpu": "1"}, ""),
        ({"nvidia.com/gpu": "1"}, {"nvidia.com/gpu": "2"}, "must be equal to its limit"),
        ({"nvidia.com/gpu": "2"}, {"nvidia.com/gpu": "1"}, "must be equal to its limit"),
        ({"nvidia.com/gpu": "1"}, {}, "must be equal to its limit"),
        ({"nvidia.com/gpu": "1000m"}, {"nvidia.com/gpu": "1"}, ""),
        ({"cpu": "500m"}, {"cpu": "0.5"}, ""),
        ({"cpu": "501m"}, {"cpu": "0.5"}, "must be at most its limit (0.5), got 501m"),
        ({"memory": "1Gi"}, {"memory": "1073741824"}, ""),
        ({"memory": "1Gi"}, {"memory": "1G"}, "must be at most its limit (1G), got 1Gi"),
        ({"memory": "2k"}, {"memory": "1Ki"}, "must be at most its limit (1Ki), got 2k"),
        ({"memory": "1E"}, {"memory": "1P"}, "must be at most its limit (1P), got 1E"),
        ({"cpu": "1"}, {}, ""),
    ],
)
def test_a_request_fits_its_limit(requests: dict[str, str], limits: dict[str, str], wrong: str) -> None:
    found = findings(pod(requests, limits))

    assert bool(found) == bool(wrong)
    assert all(words.startswith(wrong) for words in found.values())


def test_what_is_wrong_with_all_pods_is_said_once_and_not_at_each_stage() -> None:
    found = findings({
        **pod({"cpu": "2"}, {"cpu": "1"}),
        "stages": [{"name": "synth", "pod": {"resources": {"limits": {"memory": "1Gi"}}}}],
    })  # fmt: skip

    assert list(found) == ["pod.resources.requests.cpu"]


@pytest.mark.parametrize(
    ("toleration", "wrong"),
    [
        ({"operator": "Exists"}, False),
        ({"operator": "Exists", "key": "gpu"}, False),
        ({"operator": "Exists", "key": "gpu", "value": "a"}, True),
        ({"key": "gpu", "value": "a"}, False),
        ({"value": "a"}, True),
        ({"key": "gpu", "effect": "NoExecute", "tolerationSeconds": 60}, False),
        ({"key": "gpu", "effect": "NoSchedule", "tolerationSeconds": 60}, True),
    ],
)
def test_tolerations_are_those_that_kubernetes_takes(toleration: dict[str, Any], wrong: bool) -> None:
    assert bool(findings({"pod": {"tolerations": [toleration]}})) is wrong


def test_an_autoscaler_may_hold_one_size() -> None:
    def scaled(least: int, most: int) -> dict[str, str]:
        return findings({"stages": [{"name": "synth", "autoscaling": {"minReplicas": least, "maxReplicas": most}}]})

    assert scaled(3, 3) == {}
    assert scaled(4, 3)


def test_a_fault_elsewhere_does_not_hide_one_of_a_pod() -> None:
    gateway = {"maxInFlight": "many", "pod": {"tolerations": [{"value": "a"}]}}

    assert set(findings({"gateway": gateway})) == {"gateway.maxInFlight", "gateway.pod.tolerations[0].key"}


def test_pods_that_add_to_a_wrong_one_are_looked_at_once_that_is_right() -> None:
    gateway = {"pod": {"tolerations": [{"value": "a"}]}}

    assert set(findings({"pod": {"resources": {"limits": {"cpu": 0.5}}}, "gateway": gateway})) == {
        "pod.resources.limits.cpu"
    }


def test_only_a_source_is_taken_for_a_source() -> None:
    """`./models/x` is a likely path where a source is asked for, and only there."""
    source = findings({"model": {"family": "llm", "source": "./models/x"}})["model.source"]
    name = findings({}, name="./models/x")

    assert "file://" in source
    assert name and not any("://" in words for words in name.values())


STAGES = [{"name": name} for name in ("ingest", "words", "pitch")]
COMPOSERS = [{"name": "one", "type": "compose"}, {"name": "two", "type": "compose"}]


def test_each_stage_needs_all_its_inputs_though_another_of_its_kind_has_them() -> None:
    edges = [
        {"from": "ingest", "to": "words"},
        {"from": "ingest", "to": "pitch"},
        {"from": "words", "to": "one", "input": "pieces"},
        {"from": "pitch", "to": "one", "input": "pitches"},
        {"from": "words", "to": "two", "input": "pieces"},
    ]
    outputs = [{"name": "text", "stage": "one"}, {"name": "audio", "stage": "two"}]

    found = findings({"stages": [*STAGES, *COMPOSERS], "edges": edges, "outputs": outputs})

    assert any("pitches" in words for words in found.values()), found
    whole = findings({
        "stages": [*STAGES, COMPOSERS[0]],
        "edges": edges[:-1],
        "outputs": outputs[:1],
    })  # fmt: skip
    assert whole == {}
