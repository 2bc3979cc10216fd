"""What all pods have in common, and what one stage or the gateway says for itself."""

from typing import Any

from omnipipe.families.registry import family_names, find_family
from omnipipe.spec.manifest import PipelineSpec
from omnipipe.spec.pod_merge import gateway_pod, gateway_templates, stage_pod, stage_templates
from omnipipe.spec.pods import Resources
from omnipipe.spec.reader import read_object


def spec(
    pod: dict[str, Any], stage: dict[str, Any] | None = None, gateway: dict[str, Any] | None = None
) -> PipelineSpec:
    value = {
        "apiVersion": "omnipipe.dev/v1alpha1",
        "kind": "OmniPipeline",
        "metadata": {"name": "assistant"},
        "spec": {
            "model": {"family": "echo"},
            "pod": pod,
            "stages": [{"name": "synth", "pod": stage or {}}],
            "gateway": {"pod": gateway or {}},
        },
    }
    return read_object(value, find_family, family_names()).pipeline.spec


def test_the_more_particular_one_wins() -> None:
    of = spec(
        {"serviceAccountName": "all", "sharedMemory": "1Gi"}, {"serviceAccountName": "one", "sharedMemory": "2Gi"}
    )

    assert (stage_pod(of, "synth").service_account_name, stage_pod(of, "synth").shared_memory) == ("one", "2Gi")
    assert (stage_pod(of, "words").service_account_name, stage_pod(of, "words").shared_memory) == ("all", "1Gi")
    assert gateway_pod(of).service_account_name == "all"


def test_mappings_are_joined_by_key() -> None:
    of = spec(
        {"nodeSelector": {"pool": "a", "disk": "fast"}, "labels": {"team": "x"}, "annotations": {"a": "1"}},
        {"nodeSelector": {"pool": "b"}, "labels": {"tier": "y"}, "annotations": {"b": "2"}},
    )
    pod = stage_pod(of, "synth")

    assert pod.node_selector == {"pool": "b", "disk": "fast"}
    assert pod.labels == {"team": "x", "tier": "y"}
    assert pod.annotations == {"a": "1", "b": "2"}


def test_resources_are_joined_by_name_and_always_text() -> None:
    of = spec(
        {"resources": {"requests": {"cpu": 1}, "limits": {"memory": "1Gi"}}},
        {"resources": {"limits": {"memory": "8Gi", "nvidia.com/gpu": 2}}},
    )

    assert stage_pod(of, "synth").resources == Resources(
        requests={"cpu": "1"}, limits={"memory": "8Gi", "nvidia.com/gpu": "2"}
    )


def test_variables_are_joined_by_name_and_tolerations_added() -> None:
    of = spec(
        {
            "env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}],
            "tolerations": [{"key": "gpu", "operator": "Exists"}],
        },
        {
            "env": [{"name": "A", "secretKeyRef": {"name": "s", "key": "a"}}, {"name": "C", "value": "3"}],
            "tolerations": [{"key": "gpu", "operator": "Exists"}, {"key": "spot", "operator": "Exists"}],
        },
    )
    pod = stage_pod(of, "synth")

    assert [(variable.name, variable.value) for variable in pod.env] == [("A", None), ("B", "2"), ("C", "3")]
    assert [toleration.key for toleration in pod.tolerations] == ["gpu", "spot"]


def test_a_list_of_names_is_replaced() -> None:
    of = spec({"imagePullSecrets": ["a", "b"]}, {"imagePullSecrets": ["c"]})

    assert stage_pod(of, "synth").image_pull_secrets == ("c",)
    assert gateway_pod(of).image_pull_secrets == ("a", "b")


def test_the_gateway_takes_neither_image_nor_devices_of_the_stages() -> None:
    common = {
        "image": "example.com/stage:1",
        "resources": {"limits": {"nvidia.com/gpu": 1}},
        "runtimeClassName": "nvidia",
        "priorityClassName": "high",
    }
    pod = gateway_pod(spec(common))

    assert (pod.image, pod.resources, pod.runtime_class_name) == (None, Resources(), None)
    assert pod.priority_class_name == "high"
    assert gateway_pod(spec(common, gateway={"image": "example.com/gateway:1"})).image == "example.com/gateway:1"


def test_templates_stay_apart_the_common_one_first() -> None:
    common, own = {"spec": {"hostNetwork": True}}, {"metadata": {"labels": {"a": "b"}}}
    of = spec({"podTemplate": common}, {"podTemplate": own})

    assert [template.to_object() for template in stage_templates(of, "synth")] == [common, own]
    assert [template.to_object() for template in gateway_templates(of)] == [common]
    assert stage_pod(of, "synth").pod_template is None
