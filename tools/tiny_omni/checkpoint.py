"""Where the training of a part had got to, so that it can be stopped and taken up again."""

from pathlib import Path

import torch
from torch import nn

__all__ = ["load", "save"]


def save(folder: Path, name: str, model: nn.Module, optimizer: torch.optim.Optimizer, step: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    state = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "step": step}
    torch.save(state, folder / f"{name}.new")
    (folder / f"{name}.new").replace(folder / f"{name}.pt")


def load(folder: Path, name: str, model: nn.Module, optimizer: torch.optim.Optimizer | None = None) -> int:
    """Steps done so far: none where there is no checkpoint."""
    path = folder / f"{name}.pt"
    if not path.exists():
        return 0
    state = torch.load(path, weights_only=True)
    model.load_state_dict(state["model"])
    if optimizer is not None:
        optimizer.load_state_dict(state["optimizer"])
    return int(state["step"])
