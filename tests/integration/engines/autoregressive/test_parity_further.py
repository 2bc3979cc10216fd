"""Greedy answers equal those of transformers' own generate, for many more architectures than test_parity has time for
in every mix; and docs/models.md lists exactly these."""

import re
import shutil
from pathlib import Path

import pytest
import torch
from tests.integration.engines.autoregressive.models import CONFIGS, FURTHER
from tests.integration.engines.autoregressive.serving import (
    TokenProgram,
    cousin_of,
    engine_for,
    model_of,
    reference,
)
from tests.integration.engines.autoregressive.test_parity import BUILD_S, LENGTHS, NEW, How, agree

from omnipipe.engines.kernels.native import NativeKernels

DOCUMENT = Path(__file__).parents[4] / "docs" / "models.md"


@pytest.fixture(scope="module", params=["torch", "native", "fused"])
def how(request: pytest.FixtureRequest) -> How:
    fused = request.param == "fused"
    if request.param == "torch":
        return How(None, fused, drafts=False)
    if shutil.which("g++") is None:
        pytest.skip("no g++ on this machine")
    built = NativeKernels()
    built.start()
    assert built.wait(BUILD_S)
    return How(built, fused, drafts=False)


@pytest.mark.parametrize("drafts", [False, True], ids=["plain", "drafted"])
@pytest.mark.parametrize("name", sorted(FURTHER))
def test_in_a_ragged_batch_and_in_chunks(name: str, how: How, drafts: bool) -> None:
    generator = torch.Generator().manual_seed(1)
    prompts = [torch.randint(2, 300, (size,), generator=generator).tolist() for size in LENGTHS[:5]]
    model = model_of(name)
    case = name, model, prompts, [reference(model, prompt, NEW) for prompt in prompts]
    draft = cousin_of(name) if drafts else None
    with engine_for(TokenProgram(model), how.kernel, draft, fused_layers=how.fused, step_tokens=24) as driver:
        answers = [driver.ask(str(index), prompt, NEW) for index, prompt in enumerate(prompts)]
        answers += [driver.ask(f"again {index}", prompt, NEW) for index, prompt in enumerate(prompts)]
        driver.run()
        for index, answer in enumerate(answers):
            agree(case, index % len(prompts), answer)
        driver.check_idle()
        if driver.engine.speculation is not None:
            assert driver.engine.speculation.accepted > 0


def test_the_document_lists_these_architectures() -> None:
    section = DOCUMENT.read_text().partition("## Causal language models")[2].partition("\n## ")[0]
    rows = dict(re.findall(r"^\| (in every mix|in a ragged batch) \| (.*?) \|", section, re.MULTILINE))
    listed = {row: re.findall(r"`(\w+)`", names) for row, names in rows.items()}
    assert listed == {"in every mix": sorted(CONFIGS), "in a ragged batch": sorted(FURTHER)}
