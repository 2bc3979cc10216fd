"""A family that nobody here has heard of: found by its entry point, checked, served, and as safe as ours."""

import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import openai
import pytest
from tests.integration.local.served import Served

PACKAGE = Path(__file__).parent / "parrot"
MANIFEST = """\
apiVersion: omnipipe.dev/v1alpha1
kind: OmniPipeline
metadata: {name: polly}
spec:
  model: {family: parrot, source: "builtin://tiny-chat"}
  stages:
    - {name: shouter, params: {marks: 3}}
  transport: {deadAfterSeconds: 5}  # a busy machine may keep a process quiet for a second
"""
SUM = "How much is 9 plus 15?"
START_S = 180.0
"""For a stage that imports torch, on a busy machine."""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `pip install` leaves of the package."""
    folder = tmp_path_factory.mktemp("site")
    info = folder / "parrot-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: parrot\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[omnipipe.families]\nparrot = parrot.graph:FAMILY\n")
    shutil.copytree(PACKAGE, folder / "parrot", ignore=shutil.ignore_patterns("__pycache__"))
    return folder


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("manifest") / "polly.yaml"
    path.write_text(MANIFEST)
    return path


@pytest.fixture(scope="module")
def polly(tmp_path_factory: pytest.TempPathFactory, site: Path, manifest: Path) -> Iterator[Served]:
    logs = tmp_path_factory.mktemp("logs")
    with Served(logs, manifest, "--port", "0", env={"PYTHONPATH": str(site)}) as served:
        served.wait_until_ready(START_S)
        yield served
        assert served.stop(signal.SIGTERM) == 0


def omnipipe(site: Path, *words: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "omnipipe", *map(str, words)],
        capture_output=True, text=True, timeout=60, check=False, env={"PYTHONPATH": str(site)},
    )  # fmt: skip


def test_it_is_listed_checked_and_drawn(site: Path, manifest: Path) -> None:
    assert "parrot: A language model, shouted\n" in omnipipe(site, "families").stdout
    assert omnipipe(site, "validate", manifest).stdout == "1 file valid\n"
    assert "writer   ~>  shouter  words: json" in omnipipe(site, "graph", manifest).stdout
    manifest_of_ten = manifest.with_name("ten.yaml")
    manifest_of_ten.write_text(MANIFEST.replace("marks: 3", "marks: 10"))
    wrong = omnipipe(site, "validate", manifest_of_ten)
    assert (wrong.returncode, "spec.stages[0].params.marks" in wrong.stdout) == (1, True)


def test_it_answers_whole_and_streamed(polly: Served) -> None:
    with polly.client() as client:
        whole = client.chat.completions.create(model="polly", messages=[{"role": "user", "content": SUM}])
        stream = client.chat.completions.create(
            model="polly",
            messages=[{"role": "user", "content": SUM}],
            stream=True,
            stream_options={"include_usage": True},
        )
        chunks = list(stream)
    text = whole.choices[0].message.content
    assert text is not None
    assert text.endswith("24!!!")
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == text
    assert whole.choices[0].finish_reason == "stop"
    assert whole.usage is not None
    assert whole.usage.completion_tokens > 0
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens == whole.usage.completion_tokens


def test_the_limit_is_its_finish_reason(polly: Served) -> None:
    with polly.client() as client:
        short = client.chat.completions.create(model="polly", max_tokens=1, messages=[{"role": "user", "content": SUM}])
    assert short.choices[0].finish_reason == "length"
    assert short.usage is not None
    assert short.usage.completion_tokens == 1


def test_what_it_does_not_do_is_refused_by_name(polly: Served) -> None:
    with polly.client() as client, pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(model="polly", top_p=0.5, messages=[{"role": "user", "content": SUM}])
    assert caught.value.param == "top_p"
    assert "This model supports: max_tokens." in caught.value.message


def test_what_it_raises_ends_one_request_and_shows_the_client_nothing(polly: Served) -> None:
    with polly.client() as client, pytest.raises(openai.InternalServerError) as caught:
        client.chat.completions.create(model="polly", messages=[{"role": "user", "content": "stumble"}])
    assert "secret" not in caught.value.message
    polly.wait_for("ValueError: over a secret")
    assert (polly.ask(SUM, "polly") or "").endswith("24!!!")


def test_stages_that_are_killed_come_back(tmp_path: Path, site: Path, manifest: Path) -> None:
    with Served(tmp_path, manifest, "--port", "0", env={"PYTHONPATH": str(site)}) as served:
        served.wait_until_ready(START_S)
        for stage in ("shouter", "writer"):
            served.child("--stage", stage).kill()
            served.wait_for(f"  {stage}-0 was killed by SIGKILL; starting it again")
            served.wait_for(f"  {stage}-0 ready in ", times=2)
            assert (served.ask(SUM, "polly") or "").endswith("24!!!")
        assert served.stop(signal.SIGTERM) == 0
