"""What is in the pods: commands, resources, where they run, and what a podTemplate can do."""

from collections.abc import Mapping
from typing import Any

import pytest
from tests.unit.operator.children.manifests import ALL_OPTIONS, SETTINGS, render

from omnipipe.cli.arguments import GatewayArgs, StageArgs
from omnipipe.cli.parser import parse
from omnipipe_operator.children import labels
from omnipipe_operator.observed import Object
from omnipipe_operator.settings import OperatorSettings


def main(pod: Object) -> Object:
    container: Object = pod["containers"][0]
    return container


def env(container: Object) -> dict[str, Any]:
    return {one["name"]: one.get("value", one.get("valueFrom")) for one in container["env"]}


def mounts(container: Object) -> dict[str, Object]:
    return {mount["mountPath"]: mount for mount in container["volumeMounts"]}


def volumes(pod: Object) -> dict[str, Object]:
    return {volume["name"]: volume for volume in pod["volumes"]}


def test_a_stages_command_is_one_that_the_command_line_takes() -> None:
    args = parse(main(render().pod("synth-REV"))["args"])

    assert isinstance(args, StageArgs)
    assert (str(args.plan), args.stage, args.admin) == ("/etc/omnipipe/plan/plan.json", "synth", "0.0.0.0:9000")
    assert (args.grace_s, str(args.curve_dir), args.process.log_format) == (600, "/etc/omnipipe/curve", "json")


def test_a_gateways_command_is_one_that_the_command_line_takes() -> None:
    args = parse(main(render(ALL_OPTIONS).pod("gateway-REV"))["args"])

    assert isinstance(args, GatewayArgs)
    assert (args.gateway.host, args.gateway.port, args.gateway.grace_s) == ("0.0.0.0", 8000, 80)
    assert str(args.gateway.api_keys_file) == "/etc/omnipipe/api-keys/keys"


@pytest.mark.parametrize("name", ["synth-REV", "gateway-REV"])
def test_pods_have_no_rights(name: str) -> None:
    pod = render(ALL_OPTIONS).pod(name)
    security = main(pod)["securityContext"]

    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert security["capabilities"] == {"drop": ["ALL"]}
    assert (security["allowPrivilegeEscalation"], security["readOnlyRootFilesystem"]) == (False, True)


def test_a_gateway_has_no_key_that_it_could_pose_as_a_stage_with() -> None:
    gateway, stage = (volumes(render().pod(name))["curve"]["secret"] for name in ("gateway-REV", "synth-REV"))

    assert [item["path"] for item in gateway["items"]] == ["server.pub", "client.pub", "client.key"]
    assert "items" not in stage
    assert {gateway["defaultMode"], stage["defaultMode"]} == {0o440}


def test_a_gateway_lives_before_its_stages_do() -> None:
    """Its readiness waits for all of them, so nothing else may."""
    container = main(render().pod("gateway-REV"))

    assert container["startupProbe"]["httpGet"]["path"] == container["livenessProbe"]["httpGet"]["path"] == "/livez"
    assert container["readinessProbe"]["httpGet"]["path"] == "/readyz"


def test_pods_are_given_the_time_that_their_process_takes_to_leave() -> None:
    for name in ("synth-REV", "gateway-REV"):
        pod = render({"pod": {"terminationGracePeriodSeconds": 45}}).pod(name)
        args = parse(main(pod)["args"])
        assert isinstance(args, StageArgs | GatewayArgs)
        grace_s = args.grace_s if isinstance(args, StageArgs) else args.gateway.grace_s
        assert pod["terminationGracePeriodSeconds"] == 45 == grace_s + 10


def test_all_of_a_stages_fields_have_their_effect() -> None:
    rendered = render(ALL_OPTIONS)
    pod = rendered.pod("synth-REV")
    container = main(pod)

    assert container["image"].startswith("example.com/own-stage@sha256:")
    assert container["imagePullPolicy"] == "IfNotPresent"
    assert pod["imagePullSecrets"] == [{"name": "registry"}]
    assert container["resources"] == {
        "requests": {"cpu": "500m", "memory": "1Gi"},
        "limits": {"memory": "2Gi", "nvidia.com/gpu": "1"},
    }
    assert pod["nodeSelector"] == {"disk": "fast"}
    assert [one["key"] for one in pod["tolerations"]] == ["dedicated", "nvidia.com/gpu"]
    assert (pod["priorityClassName"], pod["runtimeClassName"], pod["serviceAccountName"]) == (
        "serving",
        "nvidia",
        "pipelines",
    )
    assert env(container)["HTTPS_PROXY"] == "http://proxy.example.com:3128"
    assert env(container)["FROM_SECRET"] == {"secretKeyRef": {"name": "settings", "key": "one"}}
    assert env(container)["FROM_MAP"] == {"configMapKeyRef": {"name": "settings-map", "key": "two"}}
    assert pod["topologySpreadConstraints"][0]["topologyKey"] == "topology.kubernetes.io/zone"
    assert volumes(pod)["shared-memory"]["emptyDir"] == {"medium": "Memory", "sizeLimit": "4Gi"}
    metadata = rendered.one("Deployment", "synth-REV")["spec"]["template"]["metadata"]
    assert (metadata["labels"]["team"], metadata["labels"]["tier"]) == ("speech", "models")
    assert metadata["annotations"]["example.com/note"] == "all"


def test_devices_are_for_stages() -> None:
    gateway = render(ALL_OPTIONS).pod("gateway-REV")

    assert main(gateway)["resources"] == {"requests": {"cpu": "250m"}}
    assert main(gateway)["image"] == "example.com/own-gateway:2"
    assert "runtimeClassName" not in gateway
    assert "shared-memory" not in volumes(gateway)


def test_a_pod_template_adds_a_container_and_tunes_ours() -> None:
    pod = render(ALL_OPTIONS).pod("synth-REV")

    assert [container["name"] for container in pod["containers"]] == ["stage", "sidecar"]
    assert main(pod)["livenessProbe"]["periodSeconds"] == 30
    assert main(pod)["livenessProbe"]["httpGet"]["path"] == "/livez"
    assert pod["schedulerName"] == "own"


def test_a_pod_template_for_all_reaches_those_who_have_the_container() -> None:
    patch = {"spec": {"containers": [{"name": "stage", "tty": True}, {"name": "gateway", "stdin": True}]}}
    rendered = render({"pod": {"podTemplate": patch}})

    stage, gateway = rendered.pod("synth-REV"), rendered.pod("gateway-REV")

    assert [(c["name"], c.get("tty"), c.get("stdin")) for c in stage["containers"]] == [("stage", True, None)]
    assert [(c["name"], c.get("tty"), c.get("stdin")) for c in gateway["containers"]] == [("gateway", None, True)]


def test_a_pod_template_adds_volumes_and_takes_ours_away() -> None:
    patch = {
        "spec": {
            "securityContext": {"runAsUser": None, "fsGroup": 7},
            "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}],
            "containers": [{"name": "stage", "volumeMounts": [{"name": "data", "mountPath": "/data"}]}],
        }
    }
    pod = render({"stages": [{"name": "synth", "pod": {"podTemplate": patch}}]}).pod("synth-REV")

    assert volumes(pod)["data"] == patch["spec"]["volumes"][0]  # type: ignore[index]
    assert mounts(main(pod))["/data"]["name"] == "data"
    assert "runAsUser" not in pod["securityContext"]
    assert pod["securityContext"]["fsGroup"] == 7


def test_selectors_find_the_pods_whatever_the_manifest_labels_them() -> None:
    for deployment in (o for o in render(ALL_OPTIONS).objects if o["kind"] == "Deployment"):
        selector = deployment["spec"]["selector"]["matchLabels"]
        assert selector.items() <= deployment["spec"]["template"]["metadata"]["labels"].items()
        assert set(selector) <= {labels.PIPELINE, labels.COMPONENT, labels.STAGE, labels.REVISION}


@pytest.mark.parametrize(("strategy", "surge"), [("Surge", "25%"), ("Recreate", 0)])
def test_stages_surge_where_there_is_room(strategy: str, surge: object) -> None:
    rendered = render({"rollout": {"strategy": strategy}})

    stage, gateway = (rendered.one("Deployment", name)["spec"] for name in ("synth-REV", "gateway-REV"))

    assert stage["strategy"]["rollingUpdate"]["maxSurge"] == surge
    assert gateway["strategy"]["rollingUpdate"] == {"maxSurge": "25%", "maxUnavailable": 0}


def test_replicas_and_deadline_are_as_told() -> None:
    rendered = render({"stages": [{"name": "synth", "replicas": 3}], "rollout": {"progressDeadlineSeconds": 77}})

    spec = rendered.one("Deployment", "synth-REV")["spec"]

    assert (spec["replicas"], spec["progressDeadlineSeconds"]) == (3, 77)


def test_the_operators_own_settings_hold_where_the_manifest_is_silent() -> None:
    settings = OperatorSettings(
        gateway_image="g", stage_image="s", image_pull_policy="Never", image_pull_secrets=("fleet",),
        termination_grace_s=40,
    )  # fmt: skip
    silent, outspoken = render({}, settings).pod("synth-REV"), render(ALL_OPTIONS, settings).pod("synth-REV")

    assert (main(silent)["imagePullPolicy"], main(outspoken)["imagePullPolicy"]) == ("Never", "IfNotPresent")
    assert silent["imagePullSecrets"] == [{"name": "fleet"}]
    assert outspoken["imagePullSecrets"] == [{"name": "fleet"}, {"name": "registry"}]
    assert (silent["terminationGracePeriodSeconds"], outspoken["terminationGracePeriodSeconds"]) == (40, 90)


@pytest.mark.parametrize(("given", "keys"), [("None", []), ("Hosts", ["kubernetes.io/hostname"])])
def test_replicas_are_spread(given: str, keys: list[str]) -> None:
    pod = render({"pod": {"topologySpread": given}}).pod("synth-REV")

    assert [one["topologyKey"] for one in pod.get("topologySpreadConstraints", [])] == keys


def source(url: str, **model: Any) -> Mapping[str, Any]:
    return {"model": {"family": "weighty", "source": url, **model}}


def test_each_pod_fetches_for_itself_by_default() -> None:
    spec = source("hf://owner/model", tokenSecret={"name": "hub", "key": "token"}, cache={"sizeLimit": "9Gi"})
    rendered = render({**spec, "pod": {"resources": {"limits": {"memory": "2Gi", "nvidia.com/gpu": 1}}}})
    pod = rendered.pod("synth-REV")
    [fetch] = pod["initContainers"]

    assert fetch["args"] == ["fetch", "hf://owner/model", "--into", "/models"]
    assert env(fetch)["HF_TOKEN"] == {"secretKeyRef": {"name": "hub", "key": "token"}}
    assert fetch["resources"] == {"limits": {"memory": "2Gi"}}
    assert "readOnly" not in mounts(fetch)["/models"]
    assert mounts(main(pod))["/models"]["readOnly"] is True
    assert (env(main(pod))["OMNIPIPE_MODELS"], env(main(pod))["HF_HUB_OFFLINE"]) == ("/models", "1")
    assert "HF_TOKEN" not in env(main(pod))
    assert volumes(pod)["models"]["emptyDir"] == {"sizeLimit": "9Gi"}
    assert rendered.cohort.plan.source == "hf://owner/model"
    assert "initContainers" not in rendered.pod("gateway-REV")


def test_a_volume_that_is_there_is_read_where_it_is() -> None:
    rendered = render(source("pvc://weights/llms/one"))
    pod = rendered.pod("synth-REV")

    assert rendered.cohort.plan.source == "file:///models/llms/one"
    assert volumes(pod)["models"]["persistentVolumeClaim"] == {"claimName": "weights", "readOnly": True}
    assert "initContainers" not in pod
    assert render(source("pvc://weights")).cohort.plan.source == "file:///models"


def test_a_folder_of_the_node_is_read_where_it_is() -> None:
    rendered = render(source("file:///data/model"))

    assert rendered.cohort.plan.source == "file:///models"
    assert volumes(rendered.pod("synth-REV"))["models"]["hostPath"] == {"path": "/data/model"}
    assert mounts(main(rendered.pod("synth-REV")))["/models"]["readOnly"] is True


def test_what_ships_with_the_image_needs_no_volume() -> None:
    rendered = render(source("builtin://small"))

    assert rendered.cohort.plan.source == "builtin://small"
    assert "models" not in volumes(rendered.pod("synth-REV"))


def test_where_the_weights_lie_is_no_other_revision() -> None:
    """The revision is that of what the manifest says, not of what a pod mounts."""
    assert render(source("hf://owner/model")).cohort.revision == (
        render(source("hf://owner/model", cache={"type": "SharedClaim", "size": "9Gi"})).cohort.revision
    )
    assert SETTINGS.allow_host_path is False
