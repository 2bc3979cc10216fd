"""What travels on edges: plain msgpack data with tensors as leaves.

A `Tensor` is dtype, shape and a buffer; it knows numpy but not torch (torch code wraps `.data` itself). Its buffer may
be shared memory that another process lends: the loan lasts as long as the Tensor object (or a view of its buffer) is
alive, and ends by itself when it is collected.

numpy takes a tenth of a second to import and many stages never touch an array, so it is loaded at the first use.
"""

from functools import cache
from typing import TYPE_CHECKING, Any, Final, Self

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

__all__ = ["ITEM_BYTES", "Tensor", "Value", "size_of"]

ITEM_BYTES: Final[dict[str, int]] = {
    "bool": 1, "u8": 1, "i8": 1, "i16": 2, "i32": 4, "i64": 8, "f16": 2, "bf16": 2, "f32": 4, "f64": 8,
}  # fmt: skip
"""The closed set of dtypes, with bytes an item."""

_NUMPY: Final = {
    "bool": "?", "u8": "u1", "i8": "i1", "i16": "<i2", "i32": "<i4", "i64": "<i8", "f16": "<f2", "f32": "<f4",
    "f64": "<f8",
}  # fmt: skip


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
    def from_numpy(cls, array: "npt.NDArray[Any]") -> Self:
        """Wraps without copying when the array is already contiguous and little-endian."""
        import numpy as np

        name = _dtype_names().get(array.dtype)
        if name is None:
            raise TypeError(f"no wire dtype for numpy {array.dtype}; use one of {', '.join(_NUMPY)}")
        array = np.ascontiguousarray(array).reshape(array.shape)
        return cls(name, array.shape, array.reshape(-1).view(np.uint8).data)

    def numpy(self) -> "npt.NDArray[Any]":
        """A view of the buffer; `bf16` comes as u16 bit patterns, for numpy has no such type."""
        import numpy as np

        return np.frombuffer(self.data, dtype=_NUMPY.get(self.dtype, "<u2")).reshape(self.shape)

    @property
    def nbytes(self) -> int:
        return self.data.nbytes

    def __repr__(self) -> str:
        return f"Tensor({self.dtype}, {list(self.shape)})"


Value = Any
"""None, bool, int, float, str, bytes, Tensor, list[Value] or dict[str, Value]. Any: this is where bytes become types;
the codec lets nothing else through."""


def size_of(value: Value) -> int:
    """Roughly how many bytes a value holds: what credit windows count. Producer and consumer must count alike."""
    kind = type(value)
    if kind is str or kind is bytes:
        return len(value)
    if kind is Tensor:
        return value.data.nbytes  # type: ignore[no-any-return]
    if kind is dict:
        return sum(len(key) + size_of(item) for key, item in value.items())
    if kind is list:
        return sum(map(size_of, value))
    return 8


@cache
def _dtype_names() -> "dict[np.dtype[Any], str]":
    import numpy as np

    return {np.dtype(code): name for name, code in _NUMPY.items()}
