"""Weights of a model's modules as the kernel wants them: read by name, joined, interleaved, laid out in panels. Must
not know what a layer is made of."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import torch
from torch import nn

__all__ = [
    "LANES",
    "GatedMlp",
    "Weights",
    "activation_of",
    "children_of",
    "interleaved",
    "joined",
    "linears_of",
    "panels",
    "read_gated",
    "weights_of",
]

LANES: Final = 16
"""Floats that the kernel computes with at a time."""
_ACTIVATIONS: Final[Sequence[Callable[[torch.Tensor], torch.Tensor]]] = (
    nn.functional.silu,
    lambda x: nn.functional.gelu(x, approximate="tanh"),
)
"""In the kernel's order."""

Weights = tuple[torch.Tensor, torch.Tensor | None]
"""And a bias."""


@dataclass(frozen=True, slots=True)
class GatedMlp:
    gate: Weights
    up: Weights
    down: nn.Linear
    activation: int
    used: Sequence[nn.Linear]


def children_of(module: nn.Module) -> frozenset[str]:
    """Those with weights; its own ones, too."""
    own = [name for name, _ in module.named_parameters(recurse=False)]
    return frozenset(
        [*own, *(name for name, child in module.named_children() if next(child.parameters(), None) is not None)]
    )


def read_gated(mlp: nn.Module) -> GatedMlp | None:
    names = children_of(mlp)
    activation = activation_of(mlp)
    if activation is None:
        return None
    if names == {"gate_proj", "up_proj", "down_proj"}:
        found = linears_of(mlp, ("gate_proj", "up_proj", "down_proj"))
        if found is None:
            return None
        gate, up, down = weights_of(found[0]), weights_of(found[1]), found[2]
    elif names == {"gate_up_proj", "down_proj"}:
        found = linears_of(mlp, ("gate_up_proj", "down_proj"))
        if found is None:
            return None
        (weight, bias), down = weights_of(found[0]), found[1]
        biases = (None, None) if bias is None else bias.chunk(2)
        (gate, up) = zip(weight.chunk(2), biases, strict=True)
    else:
        return None
    if down.in_features % LANES or gate[0].shape != up[0].shape:
        return None
    return GatedMlp(gate, up, down, activation, found)


def activation_of(module: nn.Module) -> int | None:
    """The kernel's number of what a module calls its activation; None: it has another."""
    function = getattr(module, "act_fn", None) or getattr(module, "activation_fn", None)
    x = torch.linspace(-8, 8, 65)
    return next(
        (at for at, one in enumerate(_ACTIVATIONS) if function and torch.allclose(function(x), one(x), atol=1e-6)), None
    )


def linears_of(module: nn.Module, names: Sequence[str]) -> list[nn.Linear] | None:
    """None where one is of another kind, or not for the kernel."""
    found = [getattr(module, name) for name in names]
    plain = all(type(one) is nn.Linear and one.weight.dtype == torch.float32 for one in found)
    return found if plain and all(one.in_features % LANES == 0 for one in found) else None


def weights_of(linear: nn.Linear) -> Weights:
    bias: torch.Tensor | None = linear.bias  # None without, whatever its type says
    return linear.weight.detach(), None if bias is None else bias.detach()


def joined(all_of: Sequence[Weights]) -> Weights:
    """One matrix, one below the other."""
    weight = torch.cat([weight for weight, _ in all_of])
    if all(bias is None for _, bias in all_of):
        return weight, None
    return weight, torch.cat([weight.new_zeros(len(weight)) if bias is None else bias for weight, bias in all_of])


def interleaved(gate: Weights, up: Weights) -> Weights:
    """16 rows of one and 16 of the other in turns."""
    both = [
        torch.stack([part.reshape(-1, LANES, *part.shape[1:]) for part in (one, other)], 1).flatten(0, 2)
        for one, other in zip(gate, up, strict=True)
        if one is not None and other is not None
    ]
    return both[0], both[1] if len(both) > 1 else None


def panels(weights: Weights) -> tuple[torch.Tensor, torch.Tensor | None]:
    weight, bias = weights
    return torch.ops.omnipipe.panels(weight), None if bias is None else bias.clone()
