"""The talker's code predictor: the other codes of a frame, from its first and the state that this was chosen from.

A small transformer that starts anew for each frame, one step a code. All talking requests take each step together. The
modules are transformers', their products joined: a step of a few rows costs as much as the number of its operations.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import nn
from torch.nn.functional import rms_norm, scaled_dot_product_attention
from transformers.models.qwen3_omni_moe.modeling_qwen3_omni_moe import (
    Qwen3OmniMoeTalkerCodePredictorModelForConditionalGeneration,
)

from omnipipe.engines.errors import LoadingError

__all__ = ["CodePredictor", "Draw"]

_TOP_K: Final = 50
_TOP_P: Final = 0.8
"""Those of transformers' talker."""


@dataclass(frozen=True, slots=True)
class Draw:
    """How the codes of a frame are chosen."""

    numbers: torch.Tensor
    """f64 `[rows, groups - 1]`, in [0, 1): what decides where a row is drawn."""
    drawn: torch.Tensor
    """bool `[rows]`; of the others the likeliest is taken."""

    def choose(self, step: int, logits: torch.Tensor) -> torch.Tensor:
        weights, columns = logits.float().softmax(-1).topk(min(_TOP_K, logits.shape[-1]), dim=-1)
        reach = weights.double().cumsum(-1)
        kept = reach - weights < _TOP_P * reach[:, -1:]
        reach = torch.where(kept, weights, 0.0).cumsum(-1)
        at = torch.searchsorted(reach, self.numbers[:, step : step + 1] * reach[:, -1:], right=True)
        return columns.gather(1, torch.where(self.drawn[:, None], at.clamp_(max=columns.shape[1] - 1), 0))[:, 0]


class CodePredictor(nn.Module):
    """Takes the modules of transformers' predictor over: what is left of that one can compute nothing any more."""

    def __init__(self, predictor: Qwen3OmniMoeTalkerCodePredictorModelForConditionalGeneration) -> None:
        super().__init__()
        config: Any = predictor.config  # its fields have no types
        self._steps = config.num_code_groups - 1
        if config.sliding_window is not None and config.sliding_window <= self._steps:
            raise LoadingError(f"the code predictor's window of {config.sliding_window} is shorter than a frame")
        model: Any = predictor.model
        self._heads = config.num_key_value_heads
        self._head_size = config.head_dim
        self.layers = nn.ModuleList(_Layer(layer, config) for layer in model.layers)
        model.layers = nn.ModuleList()
        self.embeddings = model.codec_embedding
        self.heads = predictor.lm_head
        self._norm: torch.Tensor = model.norm.weight
        self._eps: float = model.norm.variance_epsilon
        self._cosine, self._sine = _turns(model, config.num_code_groups, config.head_dim)

    def predict(
        self, states: torch.Tensor, embeds: torch.Tensor, draw: Draw | None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """`[rows, hidden]` each: what the frame's first code was chosen from, and its embedding. Gives the other codes,
        `[rows, groups - 1]`, and the sum of all their embeddings and the first's. Without `draw`: the likeliest."""
        rows, size = states.shape[0], self._steps + 1
        shape = (len(self.layers), 2, rows, self._heads, size, self._head_size)
        memory = states.new_empty(shape)
        x, at = torch.stack((states, embeds), 1), 0
        summed = embeds
        codes = []
        for step in range(self._steps):
            end = at + x.shape[1]
            cosine, sine = self._cosine[at:end], self._sine[at:end]
            for index, layer in enumerate(self.layers):
                x = layer(x, memory[index], at, cosine, sine)
            logits = self.heads[step](rms_norm(x[:, -1], self._norm.shape, self._norm, self._eps))
            code = logits.argmax(-1) if draw is None else draw.choose(step, logits)
            codes.append(code)
            embedded = self.embeddings[step](code)
            summed = summed + embedded
            x, at = embedded[:, None], end
        return torch.stack(codes, 1), summed


class _Layer(nn.Module):
    def __init__(self, layer: Any, config: Any) -> None:
        """`layer`: of transformers' predictor."""
        super().__init__()
        attention, mlp = layer.self_attn, layer.mlp
        self._queries, self._keys, self._size = config.num_attention_heads, config.num_key_value_heads, config.head_dim
        self._scale: float = attention.scaling
        self._eps: float = config.rms_norm_eps
        self.into = _joined((attention.q_proj, attention.k_proj, attention.v_proj))
        self.out = attention.o_proj
        self.up = _joined((mlp.gate_proj, mlp.up_proj))
        self.down = mlp.down_proj
        self._act = mlp.act_fn
        self._before: torch.Tensor = layer.input_layernorm.weight
        self._between: torch.Tensor = layer.post_attention_layernorm.weight
        norms = (
            attention.q_norm.weight.expand(self._queries, -1),
            attention.k_norm.weight.expand(self._keys, -1),
        )
        self._turned = torch.cat(norms)[:, None]
        """`[heads, 1, size]`: the norms of queries and keys."""

    def forward(
        self, x: torch.Tensor, memory: torch.Tensor, at: int, cosine: torch.Tensor, sine: torch.Tensor
    ) -> torch.Tensor:
        """`x`: `[rows, positions, hidden]`. `memory`: `[2, rows, heads, groups, size]`, filled as far as `at`."""
        rows, count, _ = x.shape
        end, turned = at + count, self._queries + self._keys
        heads = self.into(rms_norm(x, self._before.shape, self._before, self._eps))
        heads = heads.view(rows, count, -1, self._size).transpose(1, 2)
        both = rms_norm(heads[:, :turned], (self._size,), None, self._eps) * self._turned
        both = torch.addcmul(both * cosine, both.roll(self._size // 2, -1), sine)
        memory[0, :, :, at:end] = both[:, self._queries :]
        memory[1, :, :, at:end] = heads[:, turned:]
        keys, values = memory[0, :, :, :end], memory[1, :, :, :end]
        if count == 1:  # the queries of one key head as if they were positions: they all see everything
            queries = both[:, : self._queries].reshape(rows, self._keys, -1, self._size)
            seen = scaled_dot_product_attention(queries, keys, values, scale=self._scale)
            seen = seen.reshape(rows, 1, -1)
        else:
            seen = scaled_dot_product_attention(
                both[:, : self._queries], keys, values, is_causal=True, scale=self._scale,
                enable_gqa=self._queries > self._keys,
            )  # fmt: skip
            seen = seen.transpose(1, 2).reshape(rows, count, -1)
        x = x + self.out(seen)
        gate, up = self.up(rms_norm(x, self._between.shape, self._between, self._eps)).chunk(2, -1)
        found: torch.Tensor = x + self.down(self._act(gate) * up)
        return found


def _turns(model: Any, positions: int, size: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Cosine and sine of the rotary embedding, `[positions, size]`; the sine with the sign that goes with a roll of the
    halves."""
    embedding = model.codec_embedding[0].weight
    where = torch.arange(positions, device=embedding.device)[None]
    cosine, sine = model.rotary_emb(embedding, where)
    sign = torch.ones(size, dtype=embedding.dtype, device=embedding.device)
    sign[: size // 2] = -1.0
    return cosine[0], sine[0] * sign


def _joined(layers: Sequence[nn.Linear]) -> nn.Linear:
    """One product in place of several of the same input."""
    first = layers[0]
    size = sum(layer.out_features for layer in layers)
    biased = first.bias is not None
    joined = nn.Linear(first.in_features, size, bias=biased, dtype=first.weight.dtype, device=first.weight.device)
    joined.requires_grad_(False)
    torch.cat([layer.weight for layer in layers], out=joined.weight)
    if biased:
        torch.cat([layer.bias for layer in layers], out=joined.bias)
    return joined
