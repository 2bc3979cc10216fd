"""The Secret with the CURVE keys, and which of several is the one."""

import base64
from pathlib import Path

import zmq
from tests.unit.operator.children.manifests import OWNER

from omnipipe.wire.keys import load_keys, write_keys
from omnipipe_operator.children import current_curve_secret, labels, new_curve_secret
from omnipipe_operator.observed import Object


def mounted(secret: Object, folder: Path) -> Path:
    """As a kubelet does it."""
    folder.mkdir()
    for name, content in secret["data"].items():
        (folder / name).write_bytes(base64.b64decode(content))
    return folder


def test_processes_can_load_the_keys(tmp_path: Path) -> None:
    keys = load_keys(mounted(new_curve_secret(OWNER), tmp_path / "curve"))

    assert keys.server_secret is not None
    assert zmq.curve_public(keys.server_secret.encode()).decode() == keys.server_public
    assert zmq.curve_public(keys.client_secret.encode()).decode() == keys.client_public


def test_the_files_are_those_of_the_command(tmp_path: Path) -> None:
    folder = mounted(new_curve_secret(OWNER), tmp_path / "ours")
    write_keys(tmp_path / "theirs")

    ours = {path.name: len(path.read_bytes()) for path in folder.iterdir()}
    assert ours == {path.name: len(path.read_bytes()) for path in (tmp_path / "theirs").iterdir()}


def test_every_secret_has_keys_and_a_name_of_its_own() -> None:
    one, other = new_curve_secret(OWNER), new_curve_secret(OWNER)

    assert one["metadata"]["name"] != other["metadata"]["name"]
    assert not set(one["data"].values()) & set(other["data"].values())
    assert one["immutable"] is True


def test_the_secret_that_is_there_is_used() -> None:
    secret = new_curve_secret(OWNER)

    assert current_curve_secret([], OWNER) is None
    assert current_curve_secret([secret], OWNER) == secret["metadata"]["name"]


def test_asking_for_a_rotation_makes_new_keys_once() -> None:
    old = new_curve_secret(OWNER)
    assert current_curve_secret([old], OWNER, "2026-11") is None

    new = new_curve_secret(OWNER, "2026-11")

    assert current_curve_secret([old, new], OWNER, "2026-11") == new["metadata"]["name"]


def test_of_several_it_is_the_oldest_in_whatever_order() -> None:
    secrets = [new_curve_secret(OWNER) for _ in range(3)]
    for secret, second in zip(secrets, ("09", "03", "07"), strict=True):
        secret["metadata"]["creationTimestamp"] = f"2026-11-21T10:00:{second}Z"

    oldest = secrets[1]["metadata"]["name"]

    assert current_curve_secret(secrets, OWNER) == current_curve_secret(secrets[::-1], OWNER) == oldest


def test_what_is_not_a_whole_secret_of_ours_is_not_used() -> None:
    partial, leaving, foreign, other = (new_curve_secret(OWNER) for _ in range(4))
    del partial["data"]["server.key"]
    leaving["metadata"]["deletionTimestamp"] = "2026-11-21T10:00:00Z"
    foreign["metadata"]["ownerReferences"][0]["uid"] = "another"
    other["metadata"]["labels"][labels.COMPONENT] = "fetch"

    assert current_curve_secret([partial, leaving, foreign, other], OWNER) is None


def test_values_need_not_be_known() -> None:
    """The operator's cache may keep the names of a Secret's entries alone."""
    secret = new_curve_secret(OWNER)
    hidden = {**secret, "data": dict.fromkeys(secret["data"], "")}

    assert current_curve_secret([hidden], OWNER) == secret["metadata"]["name"]
