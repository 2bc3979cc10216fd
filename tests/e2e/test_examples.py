"""helm install, kubectl apply, an OpenAI client gets its answer; kubectl delete, and nothing is left."""

import time
from pathlib import Path

import pytest
import yaml
from tests.e2e.cluster import Cluster
from tests.e2e.namespace import eventually
from tests.e2e.pipelines import Pipelines, ask
from tests.e2e.release import RELEASE, helm

EXAMPLES = [
    file
    for file in sorted((Path(__file__).parents[2] / "examples").glob("*.yaml"))
    if yaml.safe_load(file.read_text())["spec"]["model"]["family"] == "echo"  # the others want torch, or a model hub
]
GONE_S = 120.0


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.stem)
def test_an_example_answers_and_goes(file: Path, pipelines: Pipelines) -> None:
    began = time.monotonic()
    name = pipelines.apply(file)
    pipelines.wait(name)
    ready = time.monotonic() - began
    model = served_name(file)

    with pipelines.namespace.reach(name) as url:
        pieces = ask(url, model, "hello out there")
        print(f"\n{file.stem}: Ready after {ready:.1f} s, answered after {time.monotonic() - began:.1f} s")
    assert "".join(pieces) == "hello out there"
    assert len(pieces) > 1

    pipelines.namespace.kubectl("delete", "-f", file)
    eventually(lambda: not pipelines.left(name), lambda: f"all is gone; there is {pipelines.left(name)}", GONE_S)


def test_the_charts_own_test_passes(operator: None, cluster: Cluster) -> None:
    said = helm(cluster, "test", RELEASE, "--timeout=240s")

    assert "Phase:          Succeeded" in said


def served_name(file: Path) -> str:
    wanted = yaml.safe_load(file.read_text())
    names = wanted["spec"].get("gateway", {}).get("servedModelNames") or [wanted["metadata"]["name"]]
    return str(names[-1])
