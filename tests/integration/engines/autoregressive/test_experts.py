"""Mixtures of experts in the kernel: which ones, that they say what the model's own say, and that nothing that was
changed is lost."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from tests.integration.engines.autoregressive.models import CONFIGS, FURTHER, config_of
from tests.integration.engines.autoregressive.serving import GREEDY, TokenProgram, engine_for, model_of, reference
from torch import nn
from transformers import AutoModelForCausalLM, PreTrainedModel

from omnipipe.engines.autoregressive.architecture import examine
from omnipipe.engines.autoregressive.experts import FusedExperts
from omnipipe.engines.autoregressive.fusion import Fusion
from omnipipe.engines.autoregressive.layers import FusedLayer
from omnipipe.engines.autoregressive.program import Generation, Prompt
from omnipipe.engines.kernels.native import NativeKernels

WHOLE = {"mixtral", "qwen2_moe", "qwen3_moe"}
"""Router and all, within their layers."""
ALONE = {
    "ernie4_5_moe": 1, "glm4_moe": 1, "granitemoe": 2, "granitemoeshared": 2, "minimax_m2": 2, "olmoe": 2, "phimoe": 2,
}  # fmt: skip
"""How many layers' experts run in the kernel, routed by the model's own router."""
PROMPT = list(range(3, 40))


def in_kernel(model: nn.Module) -> tuple[int, int]:
    """Layers with experts, and experts alone."""
    forwards = [vars(module).get("forward") for module in model.modules()]
    layers = sum(isinstance(forward, FusedLayer) and forward.routes for forward in forwards)
    return layers, sum(isinstance(forward, FusedExperts) for forward in forwards)


def changed(model: PreTrainedModel, kernel: NativeKernels) -> tuple[int, int]:
    assert Fusion(model, examine(model), kernel, 16, "test").finish()
    return in_kernel(model)


@pytest.mark.parametrize("name", sorted({*CONFIGS, *FURTHER} - {"deepseek_v3"}))
def test_experts_of_these_architectures_are_known(name: str, kernel: NativeKernels) -> None:
    assert changed(model_of(name), kernel) == (2 if name in WHOLE else 0, ALONE.get(name, 0))


def _says_less(model: Any) -> None:
    plain = model.model.layers[1].mlp.forward
    model.model.layers[1].mlp.forward = lambda x: plain(x) * 0.5


def _routes_otherwise(model: Any) -> None:
    router = model.model.layers[1].mlp.gate
    plain = router.forward
    router.forward = lambda x: plain(x.roll(1, -1))


def _is_hooked(model: Any) -> None:
    model.model.layers[1].mlp.gate.register_forward_hook(lambda _, given, out: (out[0], out[1] * 0.5, out[2]))


def _has_another_class(model: Any) -> None:
    router = model.model.layers[1].mlp.gate
    kind = type(router)

    def forward(self: Any, x: torch.Tensor) -> Any:
        logits, weights, chosen = kind.forward(self, x)
        return logits, weights * 0.9, chosen

    router.__class__ = type("Odd", (kind,), {"forward": forward})


def _experts_say_less(model: Any) -> None:
    experts = model.model.layers[1].mlp.experts
    plain = experts.forward
    experts.forward = lambda *given: plain(*given) * 0.5


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (_says_less, (1, 1)),
        (_routes_otherwise, (1, 1)),
        (_is_hooked, (1, 1)),
        (_has_another_class, (1, 1)),
        (_experts_say_less, (1, 0)),
    ],
)
def test_what_was_changed_stays(
    change: Callable[[Any], None], expected: tuple[int, int], kernel: NativeKernels
) -> None:
    model = model_of("qwen3_moe")
    change(model)
    answer = reference(model, PROMPT, 16)
    assert answer != reference(model_of("qwen3_moe"), PROMPT, 16), "it makes a difference"
    with engine_for(TokenProgram(model), kernel) as driver:
        assert in_kernel(model) == expected
        asked = driver.ask("one", PROMPT, 16)
        driver.run()
        assert asked.tokens == answer


def test_outputs_that_transformers_has_recorded_are_no_change(kernel: NativeKernels) -> None:
    model = model_of("qwen3_moe")
    with torch.no_grad():
        model(torch.tensor([PROMPT]), output_hidden_states=True, output_router_logits=True)
    assert changed(model, kernel) == (2, 0)


def test_a_model_that_would_work_out_its_loss_is_served(kernel: NativeKernels) -> None:
    model = model_of("qwen3_moe")
    expected = reference(model, PROMPT, 8)
    model.config.output_router_logits = True
    with engine_for(TokenProgram(model), kernel) as driver:
        asked = driver.ask("one", PROMPT, 8)
        driver.run()
        assert asked.tokens == expected


def test_what_is_no_number_ends_alone(kernel: NativeKernels) -> None:
    for name in ("qwen3_moe", "qwen2_moe", "glm4_moe"):
        model = model_of(name)
        expected = reference(model, PROMPT, 16)
        with engine_for(TokenProgram(model), kernel) as driver:
            good = driver.ask("good", PROMPT, 16)
            generation = driver.ask("other", PROMPT[::-1], 4)
            driver.step()
            for bad in (math.nan, math.inf, -math.inf):
                asked = _poisoned(driver, bad)
                driver.step()
                driver.step()
                assert asked.error is not None, (name, bad)
            driver.run()
            assert generation.error is None
            assert good.tokens == expected
            driver.check_idle()


def _poisoned(driver: Any, bad: float) -> Any:
    embeds = torch.zeros(20, 64)
    embeds[7:] = bad
    return driver.begin(f"bad {bad}", Generation([Prompt(embeds=embeds)], max_tokens=9, sampling=GREEDY))


@pytest.mark.parametrize("hidden", [16, 48, 64])
@pytest.mark.parametrize(("count", "top", "inner"), [(1, 1, 16), (4, 2, 32), (8, 8, 48), (33, 3, 16)])
@pytest.mark.parametrize("rows", [1, 2, 5, 16, 40, 300])
def test_experts_of_all_shapes(rows: int, count: int, top: int, inner: int, hidden: int, kernel: NativeKernels) -> None:
    generator = torch.Generator().manual_seed(0)
    gate_up = torch.randn(count, 2 * inner, hidden, generator=generator)
    down = torch.randn(count, hidden, inner, generator=generator)
    x = torch.randn(rows, hidden, generator=generator)
    chosen = torch.stack([torch.randperm(count, generator=generator)[:top] for _ in range(rows)])
    weights = torch.rand(rows, top, generator=generator)
    operations: Any = torch.ops.omnipipe
    panels = operations.expert_panels(gate_up, True), operations.expert_panels(down, False)
    for tanh in (False, True):
        found = operations.experts(x, chosen, weights, *panels, tanh)
        expected = torch.zeros_like(x)
        for row in range(rows):
            for expert, weight in zip(chosen[row].tolist(), weights[row], strict=True):
                gate, up = (gate_up[expert] @ x[row]).chunk(2)
                gate = nn.functional.gelu(gate, approximate="tanh") if tanh else nn.functional.silu(gate)
                expected[row] += weight * (down[expert] @ (gate * up))
        torch.testing.assert_close(found, expected, atol=1e-3, rtol=1e-4)
    x[0] = math.nan
    again = operations.experts(x, chosen, weights, *panels, False)
    assert again[0].isnan().all()
    assert torch.equal(again[1:], operations.experts(x.nan_to_num(), chosen, weights, *panels, False)[1:])


def test_experts_that_are_not_there(kernel: NativeKernels) -> None:
    operations: Any = torch.ops.omnipipe
    panels = (
        operations.expert_panels(torch.ones(4, 32, 16), True),
        operations.expert_panels(torch.ones(4, 16, 16), False),
    )
    nobody = torch.empty(0, 2, dtype=torch.long)
    assert operations.experts(torch.ones(0, 16), nobody, torch.ones(0, 2), *panels, False).shape == (0, 16)
    for expert in (-1, 4):
        with pytest.raises(RuntimeError, match="not there"):
            operations.experts(torch.ones(1, 16), torch.tensor([[0, expert]]), torch.ones(1, 2), *panels, False)


@pytest.mark.parametrize("normalised", [False, True])
def test_an_expert_for_all_rows_has_a_size_of_its_own(normalised: bool, kernel: NativeKernels) -> None:
    config: Any = config_of("qwen2_moe")
    config.hidden_size, config.shared_expert_intermediate_size, config.norm_topk_prob = 48, 80, normalised
    config.num_attention_heads, config.num_key_value_heads = 3, 1
    config.num_experts, config.num_experts_per_tok = 37, 5
    torch.manual_seed(0)
    make: Any = AutoModelForCausalLM  # its methods are not typed
    model = make.from_config(config).eval()
    prompts = [PROMPT, PROMPT[:1], PROMPT * 5]
    expected = [reference(model, prompt, 16) for prompt in prompts]
    with engine_for(TokenProgram(model), kernel, step_tokens=48) as driver:
        assert in_kernel(model) == (2, 0)
        asked = [driver.ask(str(n), prompt, 16) for n, prompt in enumerate(prompts)]
        driver.run()
        assert [answer.tokens for answer in asked] == expected
