"""The snippets in examples/openai run as they stand against the manifests that they name."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.integration.families.embed.encoders import save
from tests.integration.local.served import Served

pytestmark = pytest.mark.timeout(400)  # two stages import torch and transformers

START_S = 240.0
"""On a busy machine."""
EXAMPLES = Path(__file__).parents[3] / "examples"
EMBEDDING_SOURCE = "hf://sentence-transformers/all-MiniLM-L6-v2"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The manifests, but for the encoder's weights, which are random and of this machine: no hub is asked."""
    folder = tmp_path_factory.mktemp("examples")
    save(folder / "encoder", "cls")
    manifest = (EXAMPLES / "embeddings.yaml").read_text()
    assert manifest.count(EMBEDDING_SOURCE) == 1
    embeddings = folder / "embeddings.yaml"
    embeddings.write_text(manifest.replace(EMBEDDING_SOURCE, f"file://{folder}/encoder"))
    cache = {"TORCHINDUCTOR_CACHE_DIR": str(folder / "inductor")}  # torch makes it whether it compiles or not
    with Served(folder, EXAMPLES / "chat.yaml", embeddings, "--port", "0", env=cache) as served:
        served.wait_until_ready(START_S)
        yield served


def run(served: Served, script: str) -> list[str]:
    environment = {**os.environ, "OPENAI_BASE_URL": served.url, "OPENAI_API_KEY": "none"}
    done = subprocess.run(
        [sys.executable, EXAMPLES / "openai" / script], env=environment, capture_output=True, text=True, timeout=240
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


def test_chat(served: Served) -> None:
    assert run(served, "chat.py") == ["9 + 15 = 24", "apple, fig, pear", "7 tokens"]


def test_tools(served: Served) -> None:
    assert run(served, "tools.py") == ['get_weather({"city": "Oslo"})', "It is sunny and 18 degrees in Oslo."]


def test_json_schema(served: Served) -> None:
    assert run(served, "json_schema.py") == ["Person(name='Ann', age=31)"]


def test_embeddings(served: Served) -> None:
    """Random weights have no opinion on which text is nearest."""
    lines = run(served, "embeddings.py")
    likeness = [float(line.split()[0]) for line in lines]
    assert likeness == sorted(likeness, reverse=True)
    assert {line.split(maxsplit=1)[1] for line in lines} == {
        "The cat sleeps on the sofa.", "Stocks fell on Monday.", "It will rain in Oslo tomorrow.",
    }  # fmt: skip


def test_every_snippet_is_run() -> None:
    tested = {"chat.py", "tools.py", "json_schema.py", "embeddings.py"}
    assert {path.name for path in (EXAMPLES / "openai").iterdir() if path.suffix == ".py"} == tested
