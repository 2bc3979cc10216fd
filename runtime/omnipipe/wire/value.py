"""What travels on edges: plain msgpack data with tensors as leaves.

A `Tensor` is dtype, shape and a buffer; it knows numpy but not torch (torch code wraps `.data` itself). Its buffer may
be shared memory that another process lends: the loan lasts as long as the Tensor object (or a view of its buffer) is
alive, and ends by itself when it is collected.
"""

from typing import Any, Final, Self

import numpy as np
import numpy.typing as npt

__all__ = ["ITEM_BYTES", "Tensor", "Value"]

ITEM_BYTES: Final[dict[str, int]] = {
    "bool": 1, "u8": 1, "i8": 1, "i16": 2, "i32": 4, "i64": 8, "f16": 2, "bf16": 2, "f32": 4, "f64": 8,
}  # fmt: skip
"""The closed set of dtypes, with bytes an item."""

_NUMPY: Final[dict[str, np.dtype[Any]]] = {
    "bool": np.dtype("?"), "u8": np.dtype("u1"), "i8": np.dtype("i1"), "i16": np.dtype("<i2"), "i32": np.dtype("<i4"),
    "i64": np.dtype("<i8"), "f16": np.dtype("<f2"), "f32": np.dtype("<f4"), "f64": np.dtype("<f8"),
}  # fmt: skip
_NAMES: Final = {dtype: name for name, dtype in _NUMPY.items()}


class Tensor:
    """A typed, shaped, C-contiguous buffer. Treat the buffer as read-only: another process may be reading it too."""

    __slots__ = ("__weakref__", "data", "dtype", "lease", "shape")

    def __init__(self, dtype: str, shape: tuple[int, ...], data: memoryview, lease: object = None) -> None:
        self.dtype = dtype
        self.shape = shape
        self.data = data
        self.lease = lease
        """What keeps borrowed memory borrowed; the transport's own, opaque to everybody else."""

    @classmethod
    def from_numpy(cls, array: npt.NDArray[Any]) -> Self:
        """Wraps without copying when the array is already contiguous and little-endian."""
        name = _NAMES.get(array.dtype)
        if name is None:
            raise TypeError(f"no wire dtype for numpy {array.dtype}; use one of {', '.join(_NUMPY)}")
        array = np.ascontiguousarray(array).reshape(array.shape)
        return cls(name, array.shape, array.reshape(-1).view(np.uint8).data)

    def numpy(self) -> npt.NDArray[Any]:
        """A view of the buffer; `bf16` comes as u16 bit patterns, for numpy has no such type."""
        dtype = _NUMPY.get(self.dtype, np.dtype("<u2"))
        return np.frombuffer(self.data, dtype=dtype).reshape(self.shape)

    @property
    def nbytes(self) -> int:
        return self.data.nbytes

    def __repr__(self) -> str:
        return f"Tensor({self.dtype}, {list(self.shape)})"


Value = Any
"""None, bool, int, float, str, bytes, Tensor, list[Value] or dict[str, Value]. Any: this is where bytes become types;
the codec lets nothing else through."""
