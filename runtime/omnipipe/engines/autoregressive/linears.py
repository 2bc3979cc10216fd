"""Linear layers of a CPU model with their weights laid out beforehand for oneDNN.

The stock layer lays them out at each call, or calls a library that knows fewer processors: up to 2.5 times slower for
batches, in f32, on some. Which is quicker here is measured once, on the model's own weights.
"""

import time
from collections.abc import Callable
from typing import Any, Final

import torch
from torch import nn
from torch.nn.functional import linear

__all__ = ["pack_linears"]

_ROWS: Final = 32
"""Of the input that layouts are chosen for and timed with: a full decode step."""
_GAIN: Final = 1.1
"""A smaller one is not worth a second copy of tied weights."""


class _PackedLinear(nn.Module):
    """In place of an `nn.Linear`; it has no `weight` that could be trained or looked at."""

    def __init__(self, weight: torch.Tensor, bias: torch.Tensor | None) -> None:
        super().__init__()
        self.out_features, self.in_features = weight.shape
        self._packed = torch.ops.mkldnn._reorder_linear_weight(weight, _ROWS)
        self._bias = None if bias is None else bias.detach()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if x.numel() == 0:
            return x.new_empty((*x.shape[:-1], self.out_features))
        out: torch.Tensor = torch.ops.mkldnn._linear_pointwise(x, self._packed, self._bias, "none", [], "")
        return out


class _PanelLinear(nn.Module):
    """The same with the kernel's own layout."""

    def __init__(self, weight: torch.Tensor, bias: torch.Tensor | None) -> None:
        super().__init__()
        self.out_features, self.in_features = weight.shape
        self._panels = torch.ops.omnipipe.panels(weight)
        self._bias = weight.new_empty(0) if bias is None else bias.detach()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = torch.ops.omnipipe.linear(x, self._panels, self._bias, self.out_features)
        return out


def pack_linears(model: nn.Module, *, gain: float = _GAIN, panels: bool = False) -> bool:
    """Replaces the model's linear layers where that makes them `gain` times as quick; False: they are as they were.
    `panels`: the kernel is there, and may be the quickest."""
    layers = [
        (parent, name, layer)
        for parent in model.modules()
        for name, layer in parent.named_children()
        if type(layer) is nn.Linear and _is_plain(layer)
    ]
    mkldnn: Any = torch.backends.mkldnn  # not typed
    kinds: list[type[_PackedLinear] | type[_PanelLinear]] = []
    if mkldnn.is_available():
        kinds.append(_PackedLinear)
    if panels:
        kinds.append(_PanelLinear)
    if not layers or not kinds:
        return False
    with torch.inference_mode():
        largest = max((layer for _, _, layer in layers), key=lambda layer: layer.weight.numel())
        gains = {kind: _gain(largest, kind) for kind in kinds}
        best = max(kinds, key=gains.__getitem__)
        if gains[best] < gain:
            return False
        for parent, name, layer in layers:
            bias: torch.Tensor | None = layer.bias  # None without, whatever its type says
            setattr(parent, name, best(layer.weight.detach(), bias))
    return True


def _is_plain(layer: nn.Linear) -> bool:
    """With weights of its own, and nothing that somebody else has put there, which would be lost."""
    weight: torch.Tensor | None = layer.weight  # None in a layer that the kernel computes, whatever its type says
    changed = "forward" in vars(layer) or layer._forward_hooks or layer._forward_pre_hooks
    return weight is not None and weight.dtype == torch.float32 and weight.device.type == "cpu" and not changed


def _gain(layer: nn.Linear, kind: type[_PackedLinear] | type[_PanelLinear]) -> float:
    """How many times as quick."""
    weight = layer.weight.detach()[:4096]
    packed = kind(weight, None)
    x = torch.randn(_ROWS, weight.shape[1])
    return _seconds(lambda: linear(x, weight)) / _seconds(lambda: packed(x))


def _seconds(call: Callable[[], object]) -> float:
    """The best of a few: a busy machine makes some of them slow."""
    best = float("inf")
    for _ in range(8):
        started = time.perf_counter()
        call()
        best = min(best, time.perf_counter() - started)
    return best
