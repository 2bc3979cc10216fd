"""podTemplate over a pod template: as `kubectl patch --type=strategic` does it."""

from typing import Any

import pytest

from omnipipe_operator.children.merge import merged

BASE: dict[str, Any] = {
    "metadata": {"labels": {"ours": "yes"}},
    "spec": {
        "containers": [
            {
                "name": "stage",
                "image": "stage:1",
                "args": ["stage", "--plan", "p"],
                "env": [{"name": "HOME", "value": "/tmp"}],
                "ports": [{"name": "relay", "containerPort": 5600, "protocol": "TCP"}],
                "livenessProbe": {"httpGet": {"path": "/livez", "port": "admin"}, "periodSeconds": 10},
                "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],
            }
        ],
        "volumes": [{"name": "tmp", "emptyDir": {}}],
        "tolerations": [{"key": "a", "operator": "Exists"}],
    },
}


def pod(**spec: Any) -> dict[str, Any]:
    patched: dict[str, Any] = merged(BASE, {"spec": spec})["spec"]
    return patched


def container(**fields: Any) -> dict[str, Any]:
    """The stage's, after such a patch of it."""
    [found] = pod(containers=[{"name": "stage", **fields}])["containers"]
    result: dict[str, Any] = found
    return result


def test_nothing_over_something_is_that() -> None:
    assert merged(BASE, {}) == BASE


def test_neither_argument_is_changed() -> None:
    patch = {"spec": {"containers": [{"name": "stage", "env": [{"name": "A", "value": "1"}]}], "hostNetwork": True}}
    before = (repr(BASE), repr(patch))

    merged(BASE, patch)

    assert (repr(BASE), repr(patch)) == before


def test_a_sidecar_stands_behind_ours() -> None:
    names = [one["name"] for one in pod(containers=[{"name": "sidecar", "image": "s"}])["containers"]]

    assert names == ["stage", "sidecar"]


def test_a_probe_is_tuned_and_keeps_its_handler() -> None:
    probe = container(livenessProbe={"periodSeconds": 30})["livenessProbe"]

    assert probe == {"httpGet": {"path": "/livez", "port": "admin"}, "periodSeconds": 30}


def test_a_probe_with_another_handler_loses_the_first() -> None:
    probe = container(livenessProbe={"exec": {"command": ["true"]}})["livenessProbe"]

    assert probe == {"exec": {"command": ["true"]}, "periodSeconds": 10}


def test_null_takes_a_field_away() -> None:
    assert "livenessProbe" not in container(livenessProbe=None)


def test_variables_are_merged_by_name() -> None:
    env = container(env=[{"name": "HOME", "value": "/home"}, {"name": "A", "value": "1"}])["env"]

    assert env == [{"name": "HOME", "value": "/home"}, {"name": "A", "value": "1"}]


def test_a_variable_from_elsewhere_loses_its_own_value() -> None:
    reference = {"fieldRef": {"fieldPath": "status.podIP"}}

    assert container(env=[{"name": "HOME", "valueFrom": reference}])["env"] == [
        {"name": "HOME", "valueFrom": reference}
    ]


def test_volumes_and_mounts_are_added() -> None:
    patched = pod(
        volumes=[{"name": "data", "hostPath": {"path": "/data"}}],
        containers=[{"name": "stage", "volumeMounts": [{"name": "data", "mountPath": "/data"}]}],
    )

    assert [volume["name"] for volume in patched["volumes"]] == ["tmp", "data"]
    assert [mount["mountPath"] for mount in patched["containers"][0]["volumeMounts"]] == ["/tmp", "/data"]


def test_a_volume_of_another_kind_takes_the_place_of_the_first() -> None:
    assert pod(volumes=[{"name": "tmp", "hostPath": {"path": "/var/tmp"}}])["volumes"] == [
        {"name": "tmp", "hostPath": {"path": "/var/tmp"}}
    ]


def test_a_volume_of_the_same_kind_is_merged() -> None:
    assert pod(volumes=[{"name": "tmp", "emptyDir": {"sizeLimit": "1Gi"}}])["volumes"] == [
        {"name": "tmp", "emptyDir": {"sizeLimit": "1Gi"}}
    ]


def test_ports_differ_by_number_and_protocol() -> None:
    ports = container(ports=[{"containerPort": 5600, "protocol": "UDP"}, {"containerPort": 5600, "hostPort": 5600}])[
        "ports"
    ]

    assert ports == [
        {"name": "relay", "containerPort": 5600, "protocol": "TCP", "hostPort": 5600},
        {"containerPort": 5600, "protocol": "UDP"},
    ]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("tolerations", [{"key": "b", "operator": "Exists"}]),
        ("readinessGates", [{"conditionType": "x"}]),
        ("nodeSelector", {"a": "b"}),
        ("terminationGracePeriodSeconds", 5),
    ],
)
def test_what_has_no_merge_key_is_replaced(field: str, value: Any) -> None:
    assert pod(**{field: value})[field] == value


def test_arguments_are_replaced_as_a_whole() -> None:
    assert container(args=["other"])["args"] == ["other"]


def test_maps_are_merged_at_any_depth() -> None:
    affinity = {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 1, "preference": {}}]}}

    assert pod(affinity=affinity)["affinity"] == affinity
    assert merged(BASE, {"metadata": {"labels": {"theirs": "yes"}}})["metadata"]["labels"] == {
        "ours": "yes",
        "theirs": "yes",
    }


def test_an_entry_is_deleted_on_request() -> None:
    patched = pod(containers=[{"name": "stage", "volumeMounts": [{"mountPath": "/tmp", "$patch": "delete"}]}])

    assert patched["containers"][0]["volumeMounts"] == []


def test_deleting_what_is_not_there_does_nothing() -> None:
    assert pod(volumes=[{"name": "none", "$patch": "delete"}])["volumes"] == [{"name": "tmp", "emptyDir": {}}]


def test_an_object_or_a_list_is_replaced_on_request() -> None:
    replaced = container(livenessProbe={"$patch": "replace", "tcpSocket": {"port": "relay"}})
    volumes = pod(volumes=[{"$patch": "replace"}, {"name": "other", "emptyDir": {}}])["volumes"]

    assert replaced["livenessProbe"] == {"tcpSocket": {"port": "relay"}}
    assert volumes == [{"name": "other", "emptyDir": {}}]
