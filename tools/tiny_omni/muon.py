"""The Muon optimizer for matrices and for stacks of them, as experts are: torch's own takes single ones only."""

import math
from collections.abc import Iterable

import torch
from torch import Tensor, nn

__all__ = ["Muon", "optimizers"]

_COEFFICIENTS = (3.4445, -4.7750, 2.0315)
_ITERATIONS = 5
_MOMENTUM = 0.95


class Muon(torch.optim.Optimizer):
    def __init__(self, parameters: Iterable[nn.Parameter], lr: float) -> None:
        super().__init__(list(parameters), {"lr": lr})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]  # never with a closure
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                state = self.state[parameter]
                if not state:
                    state["momentum"] = torch.zeros_like(parameter)
                state["momentum"].lerp_(parameter.grad, 1 - _MOMENTUM)
                update = _orthogonal(parameter.grad.lerp(state["momentum"], _MOMENTUM))
                scale = 0.2 * math.sqrt(max(parameter.shape[-2:]))  # steps as large as AdamW's
                parameter.add_(update, alpha=-group["lr"] * scale)


def _orthogonal(matrices: Tensor) -> Tensor:
    """By Newton-Schulz iterations."""
    a, b, c = _COEFFICIENTS
    tall = matrices.shape[-2] > matrices.shape[-1]
    x: Tensor = matrices.mT if tall else matrices
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    for _ in range(_ITERATIONS):
        square = x @ x.mT
        x = a * x + (b * square + c * square @ square) @ x
    return x.mT if tall else x


def optimizers(model: nn.Module, rate: float) -> list[torch.optim.Optimizer]:
    """Muon for the matrices of the layers, AdamW for everything else that is trained."""
    named = [(name, parameter) for name, parameter in model.named_parameters() if parameter.requires_grad]
    matrices = [p for name, p in named if _is_matrix(name, p)]
    rest = [p for name, p in named if not _is_matrix(name, p)]
    return [Muon(matrices, rate), torch.optim.AdamW(rest, lr=rate, betas=(0.9, 0.98), weight_decay=0.0)]


def _is_matrix(name: str, parameter: Tensor) -> bool:
    if parameter.ndim == 3:
        return "experts" in name
    return parameter.ndim == 2 and not any(part in name for part in ("embed", "lm_head", "codec_head", "gate.weight"))
