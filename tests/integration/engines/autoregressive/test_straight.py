"""Models whose forward is taken without their own Python: which ones, and that nothing that was changed is lost."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from tests.integration.engines.autoregressive.models import CONFIGS, FURTHER
from tests.integration.engines.autoregressive.serving import TokenProgram, engine_for, model_of, reference
from transformers import PreTrainedModel

from omnipipe.engines.autoregressive.architecture import examine
from omnipipe.engines.autoregressive.fusion import Fusion
from omnipipe.engines.autoregressive.straight import Straight
from omnipipe.engines.kernels.native import NativeKernels

KNOWN = {"llama", "mistral", "mixtral", "qwen2", "qwen2_moe", "qwen3", "qwen3_moe"}


def straight_of(model: PreTrainedModel, kernel: NativeKernels) -> Straight | None:
    fusion = Fusion(model, examine(model), kernel, 16, "test")
    assert fusion.finish()
    return fusion.straight


@pytest.mark.parametrize("name", sorted({*CONFIGS, *FURTHER} - {"deepseek_v3"}))
def test_these_architectures_are_known(name: str, kernel: NativeKernels) -> None:
    assert (straight_of(model_of(name), kernel) is not None) == (name in KNOWN)


def _hooked(model: Any) -> None:
    model.model.norm.register_forward_hook(lambda *_: None)


def _patched(model: Any) -> None:
    plain = model.lm_head.forward
    model.lm_head.forward = lambda x: plain(x).clamp(max=0.01)


def _embeds_otherwise(model: Any) -> None:
    model.model.embed_tokens.register_forward_pre_hook(lambda _, given: (given[0] // 2,))


def _moves(model: Any) -> None:
    model.model.rotary_emb.rope_type = "dynamic"


@pytest.mark.parametrize("change", [_hooked, _patched, _embeds_otherwise, _moves])
def test_a_model_that_was_changed_is_called_as_it_is(change: Callable[[Any], None], kernel: NativeKernels) -> None:
    model = model_of("qwen3")
    change(model)
    assert straight_of(model, kernel) is None


@pytest.mark.parametrize("part", ["norm", "rotary_emb"])
def test_one_that_says_something_else_is_found_out(part: str, kernel: NativeKernels) -> None:
    """A subclass may change what no list of names tells."""
    model: Any = model_of("llama")
    module = getattr(model.model, part)
    kind = type(module)

    def forward(self: Any, *given: Any, **named: Any) -> Any:
        found = kind.forward(self, *given, **named)
        return (found[1], found[0]) if isinstance(found, tuple) else found * 1.01

    module.__class__ = type("Odd", (kind,), {"forward": forward})
    assert straight_of(model, kernel) is None


def test_scaled_rotary_positions(kernel: NativeKernels) -> None:
    """YaRN also scales what it turns."""
    model: Any = model_of("qwen3")
    rotary = model.model.rotary_emb
    rotary.attention_scaling = 1.25
    rotary.inv_freq.div_(3.0)
    assert straight_of(model, kernel) is not None


@pytest.mark.parametrize("name", sorted(KNOWN))
def test_prompts_in_chunks_beside_decoding(name: str, kernel: NativeKernels) -> None:
    model, prompts = model_of(name), [list(range(3, 80)), [9, 8, 7], list(range(100, 118))]
    expected = [reference(model, prompt, 24) for prompt in prompts]
    with engine_for(TokenProgram(model), kernel, step_tokens=32) as driver:
        runner: Any = driver.engine._runner
        assert isinstance(runner._straight, Straight)
        answers = [driver.ask(str(n), prompt, 24) for n, prompt in enumerate(prompts)]
        driver.run()
        assert [answer.tokens for answer in answers] == expected
    assert torch.is_inference_mode_enabled() is False
