from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from omnipipe.families.registry import family_names, find_family
from omnipipe.local.child import ChildKind, ChildSpec
from omnipipe.local.folder import RunFolder
from omnipipe.local.launch import Process
from omnipipe.local.layout import Layout, addresses
from omnipipe.spec.plan import Plan
from omnipipe.spec.reader import read_pipelines

MANIFEST = """\
apiVersion: omnipipe.dev/v1alpha1
kind: OmniPipeline
metadata: {name: NAME}
spec: {model: {family: echo}, stages: [{name: synth, replicas: 2}]}
"""


OMNI = """\
apiVersion: omnipipe.dev/v1alpha1
kind: OmniPipeline
metadata: {name: omni}
spec: {model: {family: qwen3_omni, source: "builtin://tiny-omni"}}
"""


class NoLauncher:
    """For children that are described and never started."""

    def launch(self, words: Sequence[str], output_fd: int, fds: Mapping[str, int]) -> Process:
        raise AssertionError("nothing is launched here")

    def close(self) -> None:
        pass


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[RunFolder]:
    made = RunFolder.create(None, tmp_path)
    yield made
    made.leave()


def children(folder: RunFolder, *names: str) -> list[ChildSpec]:
    return layout(folder, *names).children()


def layout(folder: RunFolder, *names: str, cores: int = 8) -> Layout:
    plans = []
    for index, name in enumerate(names):
        (one,) = read_pipelines(MANIFEST.replace("NAME", name), "f", find_family, family_names())
        plans.append(one.compile(addresses(folder, index, len(names))))
    return Layout(folder, plans, ("--log-format", "json"), ("--port", "1"), 7, NoLauncher(), cores)


def test_a_process_for_each_replica_and_one_gateway(folder: RunFolder) -> None:
    gateway, *stages = children(folder, "echo")
    assert [stage.name for stage in stages] == ["ingest-0", "words-0", "pitch-0", "compose-0", "synth-0", "synth-1"]
    assert {stage.kind for stage in stages} == {ChildKind.STAGE}
    assert (gateway.name, gateway.kind, dict(gateway.fds)) == ("gateway", ChildKind.GATEWAY, {"--listen-fd": 7})


def test_every_process_is_told_where_its_plan_and_sockets_are(folder: RunFolder) -> None:
    gateway, *stages = children(folder, "echo")
    words = " ".join(stages[-1].words)
    assert words == (
        f"stage --plan {folder.path}/plan-0.json --stage synth --replica 1 --log-format json "
        f"--run-dir {folder.path} --admin unix:{folder.path}/synth-1.admin.sock --threads 8"
    )
    plan = Plan.from_json((folder.path / "plan-0.json").read_bytes())
    assert plan.stage("synth").addresses[1] == f"ipc://{folder.path}/synth-1.sock"
    assert f"unix:{folder.path}/synth-1.admin.sock" in gateway.words
    assert gateway.words[-2:] == ("--port", "1")


def test_two_pipelines_share_the_gateway_and_nothing_else(folder: RunFolder) -> None:
    gateway, *stages = children(folder, "one", "two")
    assert {stage.name for stage in stages} >= {"one/synth-1", "two/synth-1"}
    admins = [word for word in gateway.words if word.startswith("unix:")]
    assert len(set(admins)) == len(admins) == len(stages) == 12
    assert gateway.words[1:4] == ("--plan", f"{folder.path}/plan-0.json", f"{folder.path}/plan-1.json")


def test_the_gateway_without_a_deleted_pipeline(folder: RunFolder) -> None:
    gateway = layout(folder, "one", "two").gateway(without={"one"})
    assert gateway.words[:4] == ("gateway", "--plan", f"{folder.path}/plan-1.json", "--stage-admin")
    admins = [word for word in gateway.words if word.startswith("unix:")]
    assert len(admins) == 6
    assert all(word.startswith(f"unix:{folder.path}/1.") for word in admins)


@pytest.mark.parametrize(("cores", "threads"), [(2, "1"), (6, "1"), (12, "2"), (20, "3")])
def test_cores_are_shared(folder: RunFolder, cores: int, threads: str) -> None:
    (one,) = read_pipelines(OMNI, "f", find_family, family_names())
    plan = one.compile(addresses(folder, 0, 1))
    made = Layout(folder, [plan], (), (), 7, NoLauncher(), cores)
    stages = [child for child in made.children() if child.kind is ChildKind.STAGE]
    assert len(stages) == 6
    assert {child.words[child.words.index("--threads") + 1] for child in stages} == {threads}
