"""A sentence-transformers `Dense` module: one linear layer over the pooled vector."""

import json
from pathlib import Path
from typing import Final

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from omnipipe.engines.errors import LoadingError

__all__ = ["Dense"]

_ACTIVATIONS: Final = {
    "Identity": torch.nn.Identity,
    "Tanh": torch.nn.Tanh,
    "ReLU": torch.nn.ReLU,
    "GELU": torch.nn.GELU,
}


class Dense:
    """In f32: it is small, and what it gives is compared to the last digit."""

    def __init__(self, folder: Path, device: torch.device) -> None:
        """Raises LoadingError for what cannot be read, or computed."""
        try:
            config = json.loads((folder / "config.json").read_text())
            shape = (int(config["out_features"]), int(config["in_features"]))
            name = str(config.get("activation_function", "torch.nn.modules.activation.Tanh")).rpartition(".")[2]
            weights = _weights(folder)
            self._weight = weights["linear.weight"].to(device, torch.float32)
            self._bias = weights["linear.bias"].to(device, torch.float32) if config.get("bias", True) else None
        except (OSError, ValueError, KeyError, TypeError, SafetensorError, RuntimeError) as error:
            raise LoadingError(f"{folder.name}: this Dense module cannot be read: {error}") from error
        if name not in _ACTIVATIONS:
            raise LoadingError(f"{folder.name}: the activation {name} of this Dense module is not supported")
        if self._weight.shape != shape:
            raise LoadingError(f"{folder.name}: {list(shape)} is said, but the weights are {list(self._weight.shape)}")
        self._activation = _ACTIVATIONS[name]()
        self.takes, self.size = shape[1], shape[0]

    def __call__(self, vectors: torch.Tensor) -> torch.Tensor:
        activated: torch.Tensor = self._activation(torch.nn.functional.linear(vectors, self._weight, self._bias))
        return activated


def _weights(folder: Path) -> dict[str, torch.Tensor]:
    path = folder / "model.safetensors"
    if path.is_file():
        return load_file(path)
    older: dict[str, torch.Tensor] = torch.load(folder / "pytorch_model.bin", map_location="cpu", weights_only=True)
    return older
