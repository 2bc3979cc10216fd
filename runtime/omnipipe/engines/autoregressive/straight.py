"""The forward of a model of a known kind, without the model's own Python around its layers.

Once the kernel computes each layer in one call, what a model's modules do between them (arguments checked and handed
on, masks that nobody uses, outputs wrapped) takes a quarter of a step with one request. For architectures whose forward
is nothing but embedding, layers, a norm and a linear layer that is left out; the others are called as they are. Must
not compute anything differently: `straighten` compares.
"""

import logging
from typing import Any, Final

import torch
from torch import nn
from torch.nn.functional import embedding, rms_norm
from transformers import PreTrainedModel

from omnipipe.engines.autoregressive.attention import STEP, AttentionStep
from omnipipe.engines.autoregressive.layers import FusedLayer

__all__ = ["Straight", "straighten"]

_log = logging.getLogger(__name__)

_KNOWN: Final = frozenset(
    (f"transformers.models.{module}.modeling_{module}", name)
    for module, name in (
        ("llama", "LlamaForCausalLM"),
        ("mistral", "MistralForCausalLM"),
        ("mixtral", "MixtralForCausalLM"),
        ("qwen2", "Qwen2ForCausalLM"),
        ("qwen2_moe", "Qwen2MoeForCausalLM"),
        ("qwen3", "Qwen3ForCausalLM"),
        ("qwen3_moe", "Qwen3MoeForCausalLM"),
    )
)
"""Module and class: by name, for what a forward does to rare values (a cap on logits, say) shows in no comparison."""
_PARTS: Final = frozenset({"embed_tokens", "layers", "norm", "rotary_emb"})
_MOVING: Final = frozenset({"dynamic", "longrope"})
"""Rotary positions that depend on more than a position."""
_TOLERANCE: Final = 1e-4
"""Of the largest logit; rounding is a hundredth of it."""


class Straight:
    """Call `straighten` for one that is known to agree."""

    def __init__(self, model: PreTrainedModel) -> None:
        base: Any = model.model
        self._weight: torch.Tensor = base.embed_tokens.weight
        self._layers: list[FusedLayer] = [layer.forward for layer in base.layers]
        self._frequencies: torch.Tensor = torch.cat((base.rotary_emb.inv_freq, base.rotary_emb.inv_freq)).float()
        self._turn = float(base.rotary_emb.attention_scaling)
        self._norm: torch.Tensor = base.norm.weight
        self._epsilon = float(base.norm.variance_epsilon)
        self._head: nn.Module = model.lm_head

    def __call__(
        self, ids: torch.Tensor, positions: torch.Tensor, keep: torch.Tensor, step: AttentionStep
    ) -> torch.Tensor:
        """`ids`, `positions`: `[1, T]`. `keep`: rows whose logits are wanted, `[n, vocabulary]`."""
        angles = positions[..., None].float() * self._frequencies
        cos, sin = angles.cos(), angles.sin()
        if self._turn != 1.0:
            cos, sin = cos * self._turn, sin * self._turn
        x = embedding(ids, self._weight)
        for layer in self._layers:
            x = layer(x, position_embeddings=(cos, sin), **{STEP: step})
        kept = rms_norm(x[0].index_select(0, keep), self._norm.shape, self._norm, self._epsilon)
        logits: torch.Tensor = self._head(kept)
        return logits


def straighten(
    model: PreTrainedModel, ids: torch.Tensor, positions: torch.Tensor, step: AttentionStep
) -> Straight | None:
    """None: the model is of another kind, or says something else of these positions."""
    if not _is_known(model):
        return None
    straight = Straight(model)
    keep = torch.arange(ids.shape[1])
    found = straight(ids, positions, keep, step)
    given: Any = {"input_ids": ids, "position_ids": positions, "logits_to_keep": keep, STEP: step}
    expected = model(**given, use_cache=False).logits[0]
    if bool((found - expected).abs().max() <= _TOLERANCE * expected.abs().max()):
        return straight
    _log.info("%s computes something of its own around its layers", type(model).__name__)
    return None


def _is_known(model: PreTrainedModel) -> bool:
    """All of its layers in the kernel, and nothing between them that somebody has put there."""
    base: Any = getattr(model, "model", None)
    if (type(model).__module__, type(model).__name__) not in _KNOWN or model.dtype != torch.float32:
        return False
    if {name for name, _ in base.named_children()} != _PARTS or base.rotary_emb.rope_type in _MOVING:
        return False
    around: list[Any] = [model, base, base.embed_tokens, base.norm, base.rotary_emb, model.lm_head, *base.layers]
    if any(one._forward_hooks or one._forward_pre_hooks for one in around):
        return False
    if any("forward" in vars(one) for one in around[:6]):
        return False
    return all(isinstance(layer.forward, FusedLayer) for layer in base.layers)
