"""Layers that the kernel computes whole: which ones, that the others stay, and that nobody notices the change."""

import logging
import threading
from typing import Any

import pytest
import torch
from tests.integration.engines.autoregressive.models import CONFIGS, FURTHER
from tests.integration.engines.autoregressive.serving import TokenProgram, engine_for, model_of, reference
from tests.integration.engines.autoregressive.test_parity import BUILD_S
from torch import nn
from transformers import PreTrainedModel

from omnipipe.engines.autoregressive.architecture import examine
from omnipipe.engines.autoregressive.fusion import Fusion
from omnipipe.engines.kernels.native import NativeKernels

FUSED = {
    "arcee", "gemma", "gemma2", "gemma3", "glm4_moe", "granite", "llama", "ministral3", "mistral", "mixtral", "phi3",
    "qwen2", "qwen2_moe", "qwen3", "qwen3_moe", "seed_oss", "smollm3",
}  # fmt: skip
"""Architectures all of whose layers are of a kind that is known."""
PARTLY = {"exaone4"}
"""Some of them are."""
LINE = "layers run in the kernel"


class LateKernel(NativeKernels):
    """One that is being built until the test says otherwise."""

    def __init__(self) -> None:
        super().__init__()
        self.arrives = True
        self.release = threading.Event()

    def start(self) -> None:
        self._thread = threading.Thread(target=self.release.wait, args=(BUILD_S,))
        self._thread.start()

    def end(self) -> None:
        self.release.set()
        assert self._thread is not None
        self._thread.join(BUILD_S)
        if self.arrives:
            super().start()


def fusion_of(model: PreTrainedModel, kernel: NativeKernels) -> Fusion:
    return Fusion(model, examine(model), kernel, 16, "test")


@pytest.mark.parametrize("name", sorted({*CONFIGS, *FURTHER} - {"deepseek_v3"}))
def test_layers_of_these_architectures_are_known(name: str, kernel: NativeKernels) -> None:
    model = model_of(name)
    fusion = fusion_of(model, kernel)
    assert fusion.finish()
    layers = model.config.num_hidden_layers
    if name in PARTLY:
        assert 0 < fusion.fused < layers
    else:
        assert fusion.fused == (layers if name in FUSED else 0)


def test_a_layer_that_says_something_else_stays(kernel: NativeKernels, caplog: pytest.LogCaptureFixture) -> None:
    model = model_of("llama")
    whole: Any = model
    odd = whole.model.layers[1]
    plain = odd.mlp.forward
    odd.mlp.forward = lambda x: plain(x).clamp(max=0.5)
    prompt = [5, 6, 7, 8]
    expected = reference(model, prompt, 16)
    caplog.set_level(logging.INFO)
    with engine_for(TokenProgram(model), kernel) as driver:
        answer = driver.ask("one", prompt, 16)
        driver.run()
        assert f"1 of 2 {LINE}" in caplog.text
        assert answer.tokens == expected


def test_layers_change_while_requests_run(kernel: NativeKernels, caplog: pytest.LogCaptureFixture) -> None:
    model, prompts = model_of("qwen3"), [list(range(3, 40)), [9, 8, 7], list(range(100, 118))]
    expected = [reference(model, prompt, 24) for prompt in prompts]
    late = LateKernel()
    caplog.set_level(logging.INFO)
    with engine_for(TokenProgram(model), late, step_tokens=16) as driver:
        answers = [driver.ask(str(n), prompt, 24) for n, prompt in enumerate(prompts)]
        for _ in range(8):
            driver.step()
        assert LINE not in caplog.text
        late.end()
        for _ in range(5):
            driver.step()
        assert f"2 of 2 {LINE}" in caplog.text
        assert not all(answer.ended for answer in answers)
        driver.run()
        assert [answer.tokens for answer in answers] == expected


def test_without_a_kernel_everything_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    model = model_of("qwen3")
    expected = reference(model, [4, 5, 6], 24)
    late = LateKernel()
    late.arrives = False
    caplog.set_level(logging.INFO)
    with engine_for(TokenProgram(model), late) as driver:
        answer = driver.ask("one", [4, 5, 6], 24)
        driver.step()
        late.end()
        driver.run()
        assert answer.tokens == expected
        assert LINE not in caplog.text


def test_it_can_be_turned_off(kernel: NativeKernels, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    with engine_for(TokenProgram(model_of("qwen3")), kernel, fused_layers=False):
        assert LINE not in caplog.text
    with engine_for(TokenProgram(model_of("qwen3")), kernel):
        assert f"2 of 2 {LINE}" in caplog.text


@pytest.mark.parametrize("columns", [1, 31, 32, 100])
@pytest.mark.parametrize("depth", [16, 48, 80])
@pytest.mark.parametrize("rows", [*range(1, 27), 40, 200])
def test_products_of_all_shapes(rows: int, depth: int, columns: int, kernel: NativeKernels) -> None:
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(columns, depth, generator=generator)
    x, bias = torch.randn(rows, depth, generator=generator), torch.randn(columns, generator=generator)
    operations: Any = torch.ops.omnipipe
    panels = operations.panels(weight)
    torch.testing.assert_close(operations.linear(x, panels, bias, columns), nn.functional.linear(x, weight, bias))
    torch.testing.assert_close(operations.linear(x, panels, torch.empty(0), columns), nn.functional.linear(x, weight))


@pytest.mark.parametrize("columns", [1, 15, 16, 33, 1024, 5000])
def test_the_largest_of_a_row(columns: int, kernel: NativeKernels) -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(40, columns, generator=generator).round(decimals=1)  # ties: the first counts
    x[1] = float("-inf")
    x[2, columns // 2 :] = float("-inf")
    operations: Any = torch.ops.omnipipe
    best, at = operations.largest(x)
    assert torch.equal(best, x.amax(-1))
    assert all(row[: index.item()].lt(most).all() for row, index, most in zip(x, at, best, strict=True))
    assert torch.equal(x.gather(1, at[:, None])[:, 0], best)
    x[3, columns // 2], x[4, -1], x[5, 0] = float("nan"), float("inf"), float("nan")
    odd = operations.largest(x)[0].isfinite().logical_not().nonzero()[:, 0].tolist()
    assert odd == [row for row in range(40) if not x[row].amax().isfinite()]
