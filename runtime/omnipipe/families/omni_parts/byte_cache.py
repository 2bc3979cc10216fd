"""The values used last, up to so many bytes."""

from collections import OrderedDict
from typing import Generic, TypeVar

__all__ = ["ByteCache"]

ValueT = TypeVar("ValueT")


class ByteCache(Generic[ValueT]):
    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._values: OrderedDict[bytes, tuple[ValueT, int]] = OrderedDict()
        self.nbytes = 0
        self.hits = 0
        self.misses = 0

    def __len__(self) -> int:
        return len(self._values)

    def get(self, key: bytes) -> ValueT | None:
        found = self._values.get(key)
        if found is None:
            self.misses += 1
            return None
        self.hits += 1
        self._values.move_to_end(key)
        return found[0]

    def put(self, key: bytes, value: ValueT, nbytes: int) -> None:
        """What is larger than the cache is not kept."""
        if nbytes > self._max_bytes:
            return
        _, before = self._values.pop(key, (None, 0))
        self._values[key] = (value, nbytes)
        self.nbytes += nbytes - before
        while self.nbytes > self._max_bytes:
            _, (_, freed) = self._values.popitem(last=False)
            self.nbytes -= freed
