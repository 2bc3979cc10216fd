"""Decoder layers of the kind that most models are made of, computed by the kernel in one call each.

What a layer is made of is read from its modules by their names; whether it was read rightly is not believed: see
`fusion`, which compares. What is not known here is left as it is. Must not know steps or requests.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import nn

from omnipipe.engines.autoregressive.attention import STEP

__all__ = ["AttentionNumbers", "FusedLayer", "read_layer"]

_NORMS: Final[Mapping[frozenset[str], Sequence[str]]] = {
    frozenset(filter(None, names)): names
    for names in (
        ("input_layernorm", "", "post_attention_layernorm", ""),
        ("", "post_attention_layernorm", "", "post_feedforward_layernorm"),
        ("input_layernorm", "post_self_attn_layernorm", "post_attention_layernorm", "post_mlp_layernorm"),
        ("input_layernorm", "post_attention_layernorm", "pre_feedforward_layernorm", "post_feedforward_layernorm"),
    )
}
"""Names of a layer's norms: before and behind its attention, before and behind its MLP."""
_LANES: Final = 16
"""Floats that the kernel computes with at a time."""
_ACTIVATIONS: Final[Sequence[Callable[[torch.Tensor], torch.Tensor]]] = (
    nn.functional.silu,
    lambda x: nn.functional.gelu(x, approximate="tanh"),
)
"""In the kernel's order."""

_Weights = tuple[torch.Tensor, torch.Tensor | None]
"""And a bias."""


@dataclass(frozen=True, slots=True)
class AttentionNumbers:
    """What a layer's attention is called with."""

    heads: int
    kv_heads: int
    dim: int
    scale: float
    window: int
    softcap: float


class FusedLayer:
    """In place of a decoder layer's `forward`. Its weights are the kernel's own copies."""

    def __init__(
        self,
        index: int,
        parts: Sequence[torch.Tensor | None],
        sizes: Sequence[int],
        numbers: Sequence[float],
        rest: Callable[[torch.Tensor], torch.Tensor] | None,
    ) -> None:
        """`rest`: what comes behind the attention, where that is not the kernel's."""
        self._index = index
        self._none = torch.empty(0)
        self._parts = [self._none if part is None else part for part in parts]
        self._sizes = list(sizes)
        self._numbers = list(numbers)
        self._rest = rest

    def __call__(
        self,
        hidden_states: torch.Tensor,
        *,
        position_embeddings: tuple[torch.Tensor, torch.Tensor] | None = None,
        **given: Any,
    ) -> torch.Tensor:
        cos, sin = (self._none, self._none) if position_embeddings is None else position_embeddings
        out: torch.Tensor = given[STEP].compute_layer(
            self._index, hidden_states, cos, sin, self._parts, self._sizes, self._numbers
        )
        return out if self._rest is None else self._rest(out)


def read_layer(layer: nn.Module, index: int, numbers: AttentionNumbers) -> tuple[FusedLayer, list[nn.Linear]] | None:
    """And the linear layers whose weights it has copied; None: it is of another kind."""
    attention, mlp = getattr(layer, "self_attn", None), getattr(layer, "mlp", None)
    order = _NORMS.get(_children(layer) - {"self_attn", "mlp"})
    if not isinstance(attention, nn.Module) or not isinstance(mlp, nn.Module) or order is None:
        return None
    projections = _projections(attention)
    if projections is None:
        return None
    norms = [getattr(layer, name) if name else None for name in order]
    heads = [getattr(attention, name, None) for name in ("q_norm", "k_norm")]
    epsilon, head_epsilon = _epsilon(norms), _epsilon(heads)
    if epsilon is None or head_epsilon is None:
        return None
    factor = float(getattr(layer, "residual_multiplier", 1.0))
    *qkv, out = projections
    used = [*projections]
    parts = [
        _effective(norms[0]), *_panels(_joined([_weights(linear) for linear in qkv])), *map(_effective, heads),
        *_panels(_weights(out)), _effective(norms[1]),
    ]  # fmt: skip
    gated = _gated(mlp)
    if gated is None:
        rest = _Rest(norms[2], mlp, norms[3], factor)
        return FusedLayer(
            index,
            [*parts, *[None] * 6],
            _sizes(numbers, 0, 0),
            [epsilon, head_epsilon, numbers.scale, numbers.softcap, factor],
            rest,
        ), used
    parts += [
        _effective(norms[2]), *_panels(_interleaved(gated.gate, gated.up)), *_panels(_weights(gated.down)),
        _effective(norms[3]),
    ]  # fmt: skip
    sizes = _sizes(numbers, gated.down.in_features, gated.activation)
    fused = FusedLayer(index, parts, sizes, [epsilon, head_epsilon, numbers.scale, numbers.softcap, factor], rest=None)
    return fused, [*used, *gated.used]


class _Rest:
    """The part of a layer behind its attention, by its own modules."""

    def __init__(self, norm: nn.Module | None, mlp: nn.Module, behind: nn.Module | None, factor: float) -> None:
        self._norm = norm
        self._mlp = mlp
        self._behind = behind
        self._factor = factor

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        found = self._mlp(x if self._norm is None else self._norm(x))
        y: torch.Tensor = found[0] if isinstance(found, tuple) else found  # some tell their routing, too
        if self._behind is not None:
            y = self._behind(y)
        return x + y * self._factor if self._factor != 1.0 else x + y


@dataclass(frozen=True, slots=True)
class _Gated:
    gate: _Weights
    up: _Weights
    down: nn.Linear
    activation: int
    used: Sequence[nn.Linear]


def _children(module: nn.Module) -> frozenset[str]:
    """Those with weights; its own ones, too."""
    own = [name for name, _ in module.named_parameters(recurse=False)]
    return frozenset(
        [*own, *(name for name, child in module.named_children() if next(child.parameters(), None) is not None)]
    )


def _projections(attention: nn.Module) -> list[nn.Linear] | None:
    """Of what is attended with, and of what comes out."""
    names = _children(attention) - {"q_norm", "k_norm"}
    for order in (("q_proj", "k_proj", "v_proj", "o_proj"), ("qkv_proj", "o_proj")):
        if names == set(order):
            return _linears(attention, order)
    return None


def _gated(mlp: nn.Module) -> _Gated | None:
    names = _children(mlp)
    function = getattr(mlp, "act_fn", None) or getattr(mlp, "activation_fn", None)
    x = torch.linspace(-8, 8, 65)
    activation = next(
        (at for at, one in enumerate(_ACTIVATIONS) if function and torch.allclose(function(x), one(x), atol=1e-6)), None
    )
    if activation is None:
        return None
    if names == {"gate_proj", "up_proj", "down_proj"}:
        found = _linears(mlp, ("gate_proj", "up_proj", "down_proj"))
        if found is None:
            return None
        gate, up, down = _weights(found[0]), _weights(found[1]), found[2]
    elif names == {"gate_up_proj", "down_proj"}:
        found = _linears(mlp, ("gate_up_proj", "down_proj"))
        if found is None:
            return None
        (weight, bias), down = _weights(found[0]), found[1]
        biases = (None, None) if bias is None else bias.chunk(2)
        (gate, up) = zip(weight.chunk(2), biases, strict=True)
    else:
        return None
    if down.in_features % _LANES or gate[0].shape != up[0].shape:
        return None
    return _Gated(gate, up, down, activation, found)


def _linears(module: nn.Module, names: Sequence[str]) -> list[nn.Linear] | None:
    """None where one is of another kind, or not for the kernel."""
    found = [getattr(module, name) for name in names]
    plain = all(type(one) is nn.Linear and one.weight.dtype == torch.float32 for one in found)
    return found if plain and all(one.in_features % _LANES == 0 for one in found) else None


def _weights(linear: nn.Linear) -> _Weights:
    bias: torch.Tensor | None = linear.bias  # None without, whatever its type says
    return linear.weight.detach(), None if bias is None else bias.detach()


def _joined(all_of: Sequence[_Weights]) -> _Weights:
    """One matrix, one below the other."""
    weight = torch.cat([weight for weight, _ in all_of])
    if all(bias is None for _, bias in all_of):
        return weight, None
    return weight, torch.cat([weight.new_zeros(len(weight)) if bias is None else bias for weight, bias in all_of])


def _interleaved(gate: _Weights, up: _Weights) -> _Weights:
    """16 rows of one and 16 of the other in turns."""
    both = [
        torch.stack([part.reshape(-1, _LANES, *part.shape[1:]) for part in (one, other)], 1).flatten(0, 2)
        for one, other in zip(gate, up, strict=True)
        if one is not None and other is not None
    ]
    return both[0], both[1] if len(both) > 1 else None


def _panels(weights: _Weights) -> tuple[torch.Tensor, torch.Tensor | None]:
    weight, bias = weights
    return torch.ops.omnipipe.panels(weight), None if bias is None else bias.clone()


def _sizes(numbers: AttentionNumbers, inner: int, activation: int) -> list[int]:
    return [numbers.heads, numbers.kv_heads, numbers.dim, inner, numbers.window, activation]


def _epsilon(norms: Sequence[nn.Module | None]) -> float | None:
    """What all of them have; None where they differ, or have none."""
    found = {getattr(norm, "variance_epsilon", getattr(norm, "eps", None)) for norm in norms if norm is not None}
    if not found:
        return 0.0
    epsilon = found.pop()
    return float(epsilon) if epsilon is not None and not found else None


def _effective(norm: nn.Module | None) -> torch.Tensor | None:
    """What it multiplies by: some architectures add one to their weights."""
    if norm is None:
        return None
    weight = next(norm.parameters()).detach()
    by_itself: torch.Tensor = norm(torch.ones_like(weight))
    return min((weight, weight + 1.0), key=lambda w: float((w - by_itself).abs().max())).clone()
