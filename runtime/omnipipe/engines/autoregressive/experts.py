"""Mixtures of experts as the kernel computes them: within a layer, router and all, where their class is known; else the
experts alone, whose rows the model's own router has routed.

Routers are known by class: one that treats a rare row in a way of its own shows in no comparison. Experts are known by
what transformers notes at their class. Both are compared with the model's own before they are used: see `fusion`. Must
not know steps or requests.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import nn

from omnipipe.engines.autoregressive.layouts import (
    LANES,
    GatedMlp,
    activation_of,
    interleaved,
    panels,
    read_gated,
    weights_of,
)

__all__ = ["FusedExperts", "RoutedMlp", "are_experts", "read_experts", "read_routed"]

_ROUTED: Final = frozenset(
    (f"transformers.models.{module}.modeling_{module}", name)
    for module, name in (
        ("mixtral", "MixtralSparseMoeBlock"),
        ("qwen2_moe", "Qwen2MoeSparseMoeBlock"),
        ("qwen3_moe", "Qwen3MoeSparseMoeBlock"),
        ("qwen3_omni_moe", "Qwen3OmniMoeTalkerTextSparseMoeBlock"),
        ("qwen3_omni_moe", "Qwen3OmniMoeThinkerTextSparseMoeBlock"),
        ("qwen3_vl_moe", "Qwen3VLMoeTextSparseMoeBlock"),
    )
)
"""Module and class of what takes the likeliest experts by the softmax of its router; some have a shared one besides."""
_RECORDING: Final = "transformers.utils.output_capturing"


@dataclass(frozen=True, slots=True)
class RoutedMlp:
    parts: Sequence[torch.Tensor | None]
    """Router, then gates and answers of the experts and of the shared one: as in the kernel's list."""
    activation: int
    top: int
    normalised: bool
    """The weights of a row's experts sum to one."""
    shared_gate: bool
    used: Sequence[nn.Module]
    """Those whose weights have been copied."""


class FusedExperts:
    """In place of the `forward` of transformers' experts. Its weights are the kernel's own copies."""

    def __init__(self, gated: torch.Tensor, down: torch.Tensor, activation: int) -> None:
        self._gated = gated
        self._down = down
        self._tanh = activation != 0

    def __call__(
        self, hidden_states: torch.Tensor, top_k_index: torch.Tensor, top_k_weights: torch.Tensor
    ) -> torch.Tensor:
        out: torch.Tensor = torch.ops.omnipipe.experts(
            hidden_states, top_k_index, top_k_weights, self._gated, self._down, self._tanh
        )
        return out


def are_experts(module: nn.Module) -> bool:
    """Experts whose `forward` transformers itself may choose, with gates, laid out as most are, that nobody changed."""
    experts: Any = module
    gate = getattr(type(module), "_apply_gate", None)
    if getattr(gate, "__module__", "") != "transformers.integrations.moe" or "forward" in vars(module):
        return False
    usual = experts.has_gate and experts.is_concatenated and not (experts.has_bias or experts.is_transposed)
    return bool(usual) and not (experts.has_post_expert_norm or experts._is_expert_parallel)


def read_experts(experts: nn.Module) -> FusedExperts | None:
    """None: they are not for the kernel."""
    activation = activation_of(experts)
    laid_out = _laid_out(experts)
    return None if activation is None or laid_out is None else FusedExperts(*laid_out, activation)


def read_routed(mlp: nn.Module) -> RoutedMlp | None:
    """None: it is of another kind."""
    if (type(mlp).__module__, type(mlp).__name__) not in _ROUTED or _is_changed(mlp):
        return None
    block: Any = mlp
    shared: Any = getattr(block, "shared_expert", None)
    gate: Any = getattr(block, "shared_expert_gate", None)
    beside = None if shared is None else read_gated(shared)
    activation = activation_of(block.experts)
    if activation is None or (shared is not None and not _joins(beside, gate, activation)):
        return None
    laid_out = _laid_out(block.experts)
    if laid_out is None or block.gate.weight.dtype != torch.float32:
        return None
    router = block.gate.weight.detach()
    used: list[nn.Module] = [block.gate, block.experts]
    more: list[torch.Tensor | None] = [None, None]
    if beside is not None:
        router = torch.cat([router, gate.weight.detach()])
        more = [panels(interleaved(beside.gate, beside.up))[0], panels(weights_of(beside.down))[0]]
        used += [gate, *beside.used]
    parts = [panels((router, None))[0], *laid_out, *more]
    normalised = bool(getattr(block.gate, "norm_topk_prob", True))
    return RoutedMlp(parts, activation, block.gate.top_k, normalised, beside is not None, used)


def _joins(shared: GatedMlp | None, gate: Any, activation: int) -> bool:
    """Whether the kernel takes the expert that every row goes to, and its gate."""
    if shared is None or shared.activation != activation or type(gate) is not nn.Linear:
        return False
    biases = (shared.gate[1], shared.up[1], weights_of(shared.down)[1], weights_of(gate)[1])
    return all(bias is None for bias in biases) and gate.weight.dtype == torch.float32


def _laid_out(module: nn.Module) -> tuple[torch.Tensor, torch.Tensor] | None:
    experts: Any = module
    if not are_experts(module):
        return None
    gated, down = experts.gate_up_proj.detach(), experts.down_proj.detach()
    hidden, inner = down.shape[1:]
    if gated.dtype != torch.float32 or hidden % LANES or inner % LANES or gated.shape[1:] != (2 * inner, hidden):
        return None
    return torch.ops.omnipipe.expert_panels(gated, True), torch.ops.omnipipe.expert_panels(down, False)


def _is_changed(mlp: nn.Module) -> bool:
    """Somebody has put something there, which would be lost. What transformers records outputs with does not count:
    nobody asks for routers' outputs."""
    for module in mlp.modules():
        hooks = [*module._forward_hooks.values(), *module._forward_pre_hooks.values()]
        if "forward" in vars(module) or any(hook.__module__ != _RECORDING for hook in hooks):
            return True
    return False
