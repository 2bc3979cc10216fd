"""Pipelines with weights, as pods: from a claim, from a hub through a managed claim, and those of the package itself.

With OMNIPIPE_TORCH_IMAGE (`make e2e-models`) their stages are of the image as it is shipped, torch and all: 12 GB of
disk and six minutes. Without it they are of the image without torch, and torch with what belongs to it is mounted into
them from this Python's own packages: the same code in the same pod, but for where its libraries lie.
"""

import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from scripts.cluster.machine import Machine
from tests.e2e.cluster import Cluster, make_image
from tests.e2e.namespace import Object, eventually
from tests.e2e.pipelines import LABEL, READY_S, Pipelines, ask, manifest
from tests.e2e.volumes import claim, volume
from tests.integration.families.llm.models import save_model
from tests.integration.weights.hub_server import Hub, run_hub

pytestmark = pytest.mark.timeout(1200 if os.environ.get("OMNIPIPE_TORCH_IMAGE") else 900)

LOADED_S = 240.0
"""A stage imports torch and transformers: ten seconds on an idle machine."""
TOKEN = "tiny-token"
LIBRARIES = "libraries"
PLACE = "/opt/libraries"


@pytest.fixture
def machine(cluster: Cluster) -> Machine:
    if cluster.machine is None:
        pytest.skip("needs folders of the node as volumes: a cluster of our own")
    return cluster.machine


@pytest.fixture(scope="session")
def torch_image(cluster: Cluster) -> str | None:
    """The stage image as it is shipped, if that is asked for."""
    if not os.environ.get("OMNIPIPE_TORCH_IMAGE") or cluster.machine is None:
        return None
    return make_image(cluster.machine, "stage", {"STAGE_EXTRA": "stage"}, prefix="torch-")


@pytest.fixture
def volumes(machine: Machine, pipelines: Pipelines) -> Iterator[list[Object]]:
    """Those that are put in go at the end."""
    made: list[Object] = []
    yield made
    for one in made:
        pipelines.namespace.kubectl("delete", f"pv/{one['metadata']['name']}", "--ignore-not-found", "--wait=false")


@pytest.fixture
def stages(torch_image: str | None, pipelines: Pipelines, volumes: list[Object]) -> list[Object]:
    """`spec.stages` with torch."""
    engine = {"kvBytes": 16 << 20}
    limited = {"resources": {"requests": {"cpu": "50m"}, "limits": {"cpu": "900m"}}}
    if torch_image is not None:
        return [{"name": "llm", "engine": engine, "pod": {"image": torch_image, **limited}}]
    assert sys.version_info[:2] == (3, 11), "the images' own base has Python 3.11, whose packages alone fit"
    provide(pipelines, volumes, LIBRARIES, Path(torch.__file__).parents[1])
    pipelines.namespace.apply(claim(LIBRARIES))
    template = {
        "spec": {
            "volumes": [{"name": LIBRARIES, "persistentVolumeClaim": {"claimName": LIBRARIES, "readOnly": True}}],
            "containers": [
                {"name": "stage", "volumeMounts": [{"name": LIBRARIES, "mountPath": PLACE, "readOnly": True}]}
            ],
        }
    }
    pod = {"env": [{"name": "PYTHONPATH", "value": PLACE}], "podTemplate": template, **limited}
    return [{"name": "llm", "engine": engine, "pod": pod}]


@pytest.fixture
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """That pods may read and write."""
    made = tmp_path_factory.mktemp("volume")
    made.chmod(0o777)
    return made


@pytest.fixture
def hub(machine: Machine, tmp_path: Path) -> Iterator[Hub]:
    """Where pods reach it. It sends no weights until it is told."""
    with run_hub(machine.layout.network.outside_ip) as server:
        server.repositories["acme/tiny"] = {"main": save_model(tmp_path / "repository", "qwen")}
        server.token, server.hold = TOKEN, threading.Event()
        try:
            yield server
        finally:
            server.hold.set()


def test_a_builtin_model_answers(pipelines: Pipelines, stages: list[Object], torch_image: str | None) -> None:
    name = pipelines.apply(manifest("builtin", model=model("builtin://tiny-chat"), stages=stages))
    pipelines.wait(name, deadline_s=LOADED_S)

    assert pipelines.condition(name, "ModelReady")["reason"] == "NoWeightsNeeded"
    with pipelines.namespace.reach(name) as url:
        said = "".join(ask(url, name, "What is 2 + 3?", temperature=0))
    assert "5" in said
    log = pipelines.namespace.kubectl("logs", f"--selector={LABEL}={name},omnipipe.dev/stage=llm", "--tail=-1")
    assert "on cpu (1 thread on " in log, "the limit is 0.9 of a processor"
    if torch_image is not None:
        assert "kernels for the CPU: those of the image" in log


def test_weights_in_a_claim(pipelines: Pipelines, stages: list[Object], volumes: list[Object], folder: Path) -> None:
    for file in save_model(folder / "tiny", "qwen").iterdir():
        file.chmod(0o644)  # the library that writes weights keeps them to their owner
    name = pipelines.apply(manifest("claimed", model=model("pvc://weights/tiny"), stages=stages))
    waits(pipelines, name, "ClaimMissing", "there is no PersistentVolumeClaim weights")

    provide(pipelines, volumes, "weights", folder)
    pipelines.namespace.apply(claim("weights"))
    pipelines.wait(name, deadline_s=LOADED_S)

    assert pipelines.condition(name, "ModelReady")["message"] == "read from pvc://weights/tiny"
    answers(pipelines, name)


def test_weights_from_a_hub_are_fetched_once_by_a_job(
    pipelines: Pipelines, stages: list[Object], volumes: list[Object], folder: Path, hub: Hub
) -> None:
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "hub"}, "stringData": {"token": TOKEN}}
    pipelines.namespace.apply(secret)
    source = {
        **model("hf://acme/tiny"),
        "tokenSecret": {"name": "hub", "key": "token"},
        "cache": {"type": "SharedClaim", "size": "1Gi"},
    }
    grace = {"terminationGracePeriodSeconds": 30}
    pod = {**grace, "env": [{"name": "HF_ENDPOINT", "value": hub.url}]}
    name = pipelines.apply(manifest("fetched", model=source, stages=stages, pod=pod))
    waits(pipelines, name, "WaitingForModel", "PersistentVolumeClaims")
    assert hub.requests == []

    provide(pipelines, volumes, f"{name}-model", folder)
    eventually(lambda: any(".safetensors" in path for _, path, _ in hub.requests), pipelines.namespace.story, READY_S)
    waits(pipelines, name, "WaitingForModel", "is fetching hf://acme/tiny")
    assert pipelines.pods(name, "llm") == [], "no stage is asked for before its model is there"
    assert hub.hold is not None
    hub.hold.set()
    pipelines.wait(name, deadline_s=LOADED_S)

    assert pipelines.condition(name, "ModelReady")["message"].endswith("has fetched hf://acme/tiny")
    asked = len(hub.requests)
    answers(pipelines, name)
    assert len(hub.requests) == asked, "a stage never asks the hub"


def model(source: str) -> Object:
    return {"family": "llm", "source": source}


def provide(pipelines: Pipelines, volumes: list[Object], claim_name: str, folder: Path) -> None:
    volumes.append(volume(pipelines.namespace, claim_name, folder))
    pipelines.namespace.apply(volumes[-1])


def waits(pipelines: Pipelines, name: str, reason: str, words: str) -> None:
    """ModelReady says what for."""

    def says_so() -> bool:
        said = pipelines.condition(name, "ModelReady")
        return said.get("reason") == reason and words in said.get("message", "")

    def story() -> str:
        said = pipelines.condition(name, "ModelReady")
        return f"ModelReady is {reason}, {words}; it says {said}\n{pipelines.namespace.story()}"

    eventually(says_so, story, READY_S)


def answers(pipelines: Pipelines, name: str) -> None:
    """A model of random weights says anything; it says the same again."""
    with pipelines.namespace.reach(name) as url:
        first = ask(url, name, "hello", temperature=0, max_tokens=12)
        assert "".join(first)
        assert "".join(ask(url, name, "hello", temperature=0, max_tokens=12)) == "".join(first)
