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
from omnipipe.engines.autoregressive.experts import RoutedMlp, read_routed
from omnipipe.engines.autoregressive.layouts import (
    GatedMlp,
    children_of,
    interleaved,
    joined,
    linears_of,
    panels,
    read_gated,
    weights_of,
)

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
_MLP_PARTS: Final = 4
_EXPERT_PARTS: Final = 5
"""What the kernel's list has for either kind."""
_TOP: Final = 6
"""Where the experts of a row are in the list of sizes."""


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
        self.routes = rest is None and sizes[_TOP] > 0
        """It sends rows to experts."""

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


def read_layer(
    layer: nn.Module, index: int, numbers: AttentionNumbers, *, attention_only: bool = False
) -> tuple[FusedLayer, list[nn.Module]] | None:
    """And the modules whose weights it has copied; None: it is of another kind. `attention_only`: what comes behind
    that stays with the layer's own modules."""
    attention, mlp = getattr(layer, "self_attn", None), getattr(layer, "mlp", None)
    order = _NORMS.get(children_of(layer) - {"self_attn", "mlp"})
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
    parts = [
        _effective(norms[0]), *panels(joined([weights_of(linear) for linear in qkv])), *map(_effective, heads),
        *panels(weights_of(out)), _effective(norms[1]),
    ]  # fmt: skip
    scales = [epsilon, head_epsilon, numbers.scale, numbers.softcap, factor]
    behind = None if attention_only else read_gated(mlp) or read_routed(mlp)
    if behind is None:
        rest = _Rest(norms[2], mlp, norms[3], factor)
        parts += [None] * (_MLP_PARTS + _EXPERT_PARTS + 2)
        return FusedLayer(index, parts, _sizes(numbers), scales, rest), [*projections]
    parts += [_effective(norms[2]), *_mlp_parts(behind), _effective(norms[3]), *_expert_parts(behind)]
    return FusedLayer(index, parts, _sizes(numbers, behind), scales, rest=None), [*projections, *behind.used]


def _mlp_parts(mlp: GatedMlp | RoutedMlp) -> Sequence[torch.Tensor | None]:
    if isinstance(mlp, RoutedMlp):
        return [None] * _MLP_PARTS
    return [*panels(interleaved(mlp.gate, mlp.up)), *panels(weights_of(mlp.down))]


def _expert_parts(mlp: GatedMlp | RoutedMlp) -> Sequence[torch.Tensor | None]:
    return mlp.parts if isinstance(mlp, RoutedMlp) else [None] * _EXPERT_PARTS


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


def _projections(attention: nn.Module) -> list[nn.Linear] | None:
    """Of what is attended with, and of what comes out."""
    names = children_of(attention) - {"q_norm", "k_norm"}
    for order in (("q_proj", "k_proj", "v_proj", "o_proj"), ("qkv_proj", "o_proj")):
        if names == set(order):
            return linears_of(attention, order)
    return None


def _sizes(numbers: AttentionNumbers, mlp: GatedMlp | RoutedMlp | None = None) -> list[int]:
    """In the kernel's order."""
    inner = mlp.down.in_features if isinstance(mlp, GatedMlp) else 0
    routing = [mlp.top, mlp.normalised, mlp.shared_gate] if isinstance(mlp, RoutedMlp) else [0, 0, 0]
    activation = 0 if mlp is None else mlp.activation
    return [numbers.heads, numbers.kv_heads, numbers.dim, inner, numbers.window, activation, *map(int, routing)]


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
