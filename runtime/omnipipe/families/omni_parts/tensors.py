"""Wire tensors to torch's and back."""

from collections.abc import Sequence
from typing import Final

import torch

from omnipipe.wire.value import Tensor

__all__ = ["from_torch", "rows_from_torch", "rows_joined", "to_torch"]

_TORCH: Final = {
    "bool": torch.bool, "u8": torch.uint8, "i8": torch.int8, "i16": torch.int16, "i32": torch.int32,
    "i64": torch.int64, "f16": torch.float16, "bf16": torch.bfloat16, "f32": torch.float32, "f64": torch.float64,
}  # fmt: skip
_WIRE: Final = {kind: name for name, kind in _TORCH.items()}


def to_torch(tensor: Tensor) -> torch.Tensor:
    """A copy: the buffer may be lent, and is not ours to write to."""
    if not tensor.nbytes:
        return torch.empty(tensor.shape, dtype=_TORCH[tensor.dtype])
    return torch.frombuffer(bytearray(tensor.data), dtype=_TORCH[tensor.dtype]).reshape(tensor.shape)


def from_torch(tensor: torch.Tensor) -> Tensor:
    """Of a tensor in the host's memory, and contiguous, it is a view."""
    tensor = tensor.detach().cpu().contiguous()
    data = tensor.reshape(-1).view(torch.uint8).numpy().data
    return Tensor(_WIRE[tensor.dtype], tuple(tensor.shape), data)


def rows_from_torch(tensor: torch.Tensor) -> list[Tensor]:
    """Each row as a tensor of one row; all of them share one buffer."""
    whole = from_torch(tensor)
    size = whole.nbytes // max(1, whole.shape[0])
    shape = (1, *whole.shape[1:])
    return [Tensor(whole.dtype, shape, whole.data[at * size : (at + 1) * size]) for at in range(whole.shape[0])]


def rows_joined(tensors: Sequence[Tensor]) -> Tensor:
    """One tensor of the rows of all, which are of one kind and shape beyond; a copy."""
    first = tensors[0]
    shape = (sum(tensor.shape[0] for tensor in tensors), *first.shape[1:])
    return Tensor(first.dtype, shape, memoryview(b"".join(tensor.data for tensor in tensors)))
