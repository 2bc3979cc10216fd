"""A real stage with a draft model: the same texts, and a start that says what is wrong."""

import subprocess
import sys
from pathlib import Path

import pytest
from tests.integration.families.llm.models import save_model
from tests.integration.families.llm.serving import ask_chat, connected, make_plan, running, user

pytestmark = pytest.mark.timeout(400)  # torch and transformers are imported by processes of their own

_RUN = """
import logging, sys
from pathlib import Path
from omnipipe.spec.plan import Plan
from omnipipe.stage.process import run_stage
from omnipipe.stage.settings import StageSettings
logging.basicConfig(level=logging.ERROR)
sys.exit(run_stage(Plan.from_json(Path(sys.argv[1]).read_bytes()), "llm", 0, StageSettings(grace_s=1.0)))
"""


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_model(tmp_path_factory.mktemp("qwen") / "model", "qwen")


async def texts(folder: Path, model: Path, draft: str | None) -> list[str]:
    with running(folder, model, draft=draft) as plan:
        async with connected(plan) as coordinator:
            asked = [
                await ask_chat(coordinator, user(f"say {n}"), max_tokens=40, temperature=temperature, seed=n)
                for n, temperature in enumerate((0.0, 0.0, 1.0, 0.8))
            ]
    return [said.content for said in asked]


def folder_for(parent: Path, name: str) -> Path:
    folder = parent / name
    folder.mkdir(mode=0o700)
    return folder


async def test_a_stage_says_the_same_with_a_draft_model(model: Path, tmp_path: Path) -> None:
    plain = await texts(folder_for(tmp_path, "plain"), model, None)
    assert await texts(folder_for(tmp_path, "drafted"), model, f"file://{model}") == plain
    assert all(plain)


def test_a_draft_with_another_vocabulary_stops_the_start_with_a_line(model: Path, tmp_path: Path) -> None:
    other = save_model(tmp_path / "other", "llama3")
    plan = make_plan(tmp_path, model, draft=f"file://{other}")
    (tmp_path / "plan.json").write_text(plan.to_json())
    ended = subprocess.run(
        [sys.executable, "-c", _RUN, str(tmp_path / "plan.json")], capture_output=True, text=True, timeout=300
    )
    assert ended.returncode != 0
    [line] = [line for line in ended.stderr.splitlines() if "cannot load" in line]
    assert "the draft model has another vocabulary than the model" in line
