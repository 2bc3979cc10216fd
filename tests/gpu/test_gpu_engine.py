"""The engine on a GPU: what it answers with the kernel and the graphs is what transformers answers there."""

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from bench.engine_load import random_model
from tests.integration.engines.autoregressive.cuda.captured import UNCAPTURED
from tests.integration.engines.autoregressive.models import CONFIGS, FURTHER
from tests.integration.engines.autoregressive.serving import Answer, Driver, TokenProgram, engine_for, model_of
from transformers import PreTrainedModel

from omnipipe.engines.autoregressive.metrics import AutoregressiveMetrics
from omnipipe.observe.metrics import Registry

DEVICE = "cuda"
NEW = 40
SIZES = (1, 17, 40, 63, 64, 5, 33)
UNDECIDED = 2e-3
WAIT_S = 400.0
LEFT = 96 << 20
"""Bytes of the device's memory."""


@contextmanager
def engine_on(model: PreTrainedModel, **options: Any) -> Iterator[tuple[Driver, Any]]:
    """Once the trial of its kernel is over."""
    with engine_for(TokenProgram(copy.deepcopy(model)), prefix_cache=False, **options) as driver:
        driver.ask("first", [5, 6, 7], 2)
        driver.run()
        quick = driver.engine.quick
        if quick is not None:
            assert quick.rehearsal is not None
            assert quick.rehearsal.wait(WAIT_S)
        yield driver, quick


def on_device(model: Any) -> Any:
    return model.to(DEVICE)


def ask(driver: Driver, prompts: list[list[int]]) -> list[Answer]:
    answers = [driver.ask(str(index), prompt, NEW) for index, prompt in enumerate(prompts)]
    driver.run()
    assert all(answer.error is None for answer in answers)
    return answers


def prompts_of(sizes: tuple[int, ...]) -> list[list[int]]:
    generator = torch.Generator().manual_seed(1)
    return [torch.randint(2, 300, (size,), generator=generator).tolist() for size in sizes]


def agree(model: PreTrainedModel, prompt: list[int], tokens: list[int]) -> None:
    """Each token is the reference's likeliest behind those before it, or as likely as makes no difference."""
    with torch.inference_mode():
        ids = torch.tensor([prompt + tokens[:-1]], device=DEVICE)
        logits = model(ids).logits[0, len(prompt) - 1 :].float()
    chosen = logits.gather(1, torch.tensor(tokens, device=DEVICE)[:, None])[:, 0]
    assert bool((logits.max(1).values - chosen <= UNDECIDED).all())


@pytest.mark.parametrize("name", sorted({*CONFIGS, *FURTHER}))
def test_answers_are_those_of_transformers(name: str) -> None:
    prompts = prompts_of(SIZES)
    reference = on_device(model_of(name))
    with engine_on(reference) as (driver, quick):
        for _ in range(3):
            for prompt, answer in zip(prompts, ask(driver, prompts), strict=True):
                agree(reference, prompt, answer.tokens)
        driver.check_idle()
        assert quick.kernel_on
        assert quick.graphs_on == (name not in UNCAPTURED)


def test_without_the_kernel() -> None:
    prompts = prompts_of(SIZES)
    reference = on_device(model_of("qwen3"))
    with engine_on(reference, gpu_kernels=False) as (driver, quick):
        assert quick is None
        for prompt, answer in zip(prompts, ask(driver, prompts), strict=True):
            agree(reference, prompt, answer.tokens)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_in_half_precision(dtype: torch.dtype) -> None:
    """The kernel and the graphs come into use: they agree with plain operations, step by step."""
    model = on_device(random_model()).to(dtype)
    with engine_on(model, kv_bytes=1 << 28) as (driver, quick):
        for _ in range(3):
            ask(driver, prompts_of(SIZES))
        assert quick.kernel_on
        assert quick.graphs_on


@pytest.mark.parametrize("on", [True, False], ids=["kernel", "plain"])
def test_memory_that_is_really_full(on: bool) -> None:
    prompts = prompts_of((900,) * 6)
    model = on_device(random_model())
    metrics = AutoregressiveMetrics(Registry(), namespace="n", pipeline="p", stage="s", revision="r")
    options: dict[str, Any] = {"kv_bytes": 1 << 28, "step_tokens": 8192, "gpu_kernels": on, "metrics": metrics}
    with engine_on(model, **options) as (driver, _):
        wanted = [answer.tokens for answer in ask(driver, prompts)]
        before = metrics.shrunk.value
        torch.cuda.empty_cache()
        free, _total = torch.cuda.mem_get_info()
        ballast = torch.empty(free - LEFT, dtype=torch.uint8, device=DEVICE)
        found = [answer.tokens for answer in ask(driver, prompts)]
        del ballast
        assert metrics.shrunk.value > before
        for prompt, tokens in zip(prompts, [*wanted, *found], strict=False):
            agree(model, prompt, tokens)
        driver.check_idle()
