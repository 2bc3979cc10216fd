"""An `AttentionStep` that is three launches a layer at most, whatever the step holds. Chooses sizes; must not decide
whether it is used."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import torch
import triton  # type: ignore[import-untyped]

from omnipipe.engines.autoregressive.cuda import kernels
from omnipipe.engines.autoregressive.kv import KvMemory, Place
from omnipipe.engines.program import attempt

__all__ = ["NARROW", "DeviceStep", "KernelFailed", "decode_tiles", "processors"]

NARROW: Final = 16
"""Rows of a product at least, which is what the hardware takes; steps whose slices have no more are cut so finely."""
_WIDE: Final = 64
"""The same for prompts: as many as there are registers for, half of them where numbers or heads are large."""
_LARGE_DIM: Final = 128
_MOST_PARTS: Final = 16
_PART: Final = 256
"""Positions that are worth a part of their own."""
_EMULATED: Final = 16
"""Processors where there is no GPU."""


class KernelFailed(Exception):
    """The kernel could not be launched: it is at fault, not the model."""


def processors(device: torch.device) -> int:
    return torch.cuda.get_device_properties(device).multi_processor_count if device.type == "cuda" else _EMULATED


def decode_tiles(live: torch.Tensor, positions: torch.Tensor, slots: int) -> torch.Tensor:
    """For rows that are one sequence each, `[rows]` int32; `live`: 1, or 0 for rows that are padding."""
    rows = torch.arange(len(live), dtype=torch.int32, device=live.device)
    return torch.stack([rows, live, positions, rows, (positions % slots == 0).int()], 1)


@dataclass(frozen=True, slots=True)
class _Tiles:
    numbers: torch.Tensor
    rows: int
    """Of the largest."""
    block_m: int


class DeviceStep:
    """Of slices: `of`. With `tiles` of single rows given, it reads nothing but tensors, and can be captured."""

    def __init__(
        self,
        memory: KvMemory,
        tables: torch.Tensor,
        processors: int,
        places: Sequence[Place],
        tiles: torch.Tensor | None,
    ) -> None:
        self._memory = memory
        self._tables = tables
        self._processors = processors
        self._places = places
        self._given = tiles
        self._tiles: dict[tuple[int, int], _Tiles] = {}

    @classmethod
    def of(cls, memory: KvMemory, places: Sequence[Place], processors: int) -> "DeviceStep":
        width = max(len(place.blocks) for place in places)
        tables = [[*place.blocks, *([0] * (width - len(place.blocks)))] for place in places]
        device = memory.keys[0].device
        return cls(memory, torch.tensor(tables, dtype=torch.int32, device=device), processors, places, None)

    def attend(
        self,
        layer: int,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        *,
        scale: float,
        window: int,
        softcap: float,
        sinks: torch.Tensor | None = None,
    ) -> torch.Tensor:
        out = attempt(self._attend, layer, query, key, value, scale, window, softcap, sinks)
        if isinstance(out, torch.OutOfMemoryError):
            raise out
        if isinstance(out, Exception):  # the compiler documents none of what it raises
            raise KernelFailed(f"{type(out).__name__}: {out}") from out
        return out

    def _attend(
        self,
        layer: int,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        scale: float,
        window: int,
        softcap: float,
        sinks: torch.Tensor | None,
    ) -> torch.Tensor:
        keys, values = self._memory.keys[layer], self._memory.values[layer]
        _, kv_heads, key_dim, slots = keys.shape
        value_dim, heads, size = values.shape[3], query.shape[1], query.shape[2]
        groups = heads // kv_heads
        query, key, value = _rows_together(query), _rows_together(key), _rows_together(value)
        large = max(key_dim, value_dim) > _LARGE_DIM
        wide = _WIDE // 2 if large or query.dtype == torch.float32 else _WIDE
        tiles = self._tiles_for(groups, wide)
        dims = (key_dim, _power(key_dim), value_dim, _power(value_dim))
        kernels.store[len(tiles.numbers), kv_heads](
            key, value, keys, values, tiles.numbers, self._tables,
            key.stride(1), key.stride(2), value.stride(1), value.stride(2), self._tables.stride(0),
            kv_heads, slots, triton.next_power_of_2(slots), *dims, triton.next_power_of_2(tiles.rows),
        )  # fmt: skip
        count = len(tiles.numbers) * kv_heads
        parts = max(1, min(2 * self._processors // count, self._tables.shape[1] * slots // _PART, _MOST_PARTS))
        out = query.new_zeros((1, size, heads, value_dim))
        partial, sums, peaks = out, out, out
        if parts > 1:
            partial = out.new_empty((size, heads, parts, value_dim), dtype=torch.float32)
            sums = out.new_zeros((size, heads, parts), dtype=torch.float32)
            peaks = torch.empty_like(sums)
        columns = (32 if large else 64) // (2 if query.dtype == torch.float32 else 1)
        kernels.attend[len(tiles.numbers), kv_heads, parts](
            query, keys, values, partial, sums, peaks, query if sinks is None else sinks, tiles.numbers, self._tables,
            query.stride(1), query.stride(2), self._tables.stride(0), window, float(scale), float(softcap),
            kv_heads, groups, slots, *dims, tiles.block_m, columns, parts > 1, softcap != 0.0, sinks is not None,
        )  # fmt: skip
        if parts > 1:
            kernels.merge[size * heads,](partial, sums, peaks, out, parts, *dims[2:], _MOST_PARTS)
        return out

    def _tiles_for(self, groups: int, wide: int) -> _Tiles:
        found = self._tiles.get((groups, wide))
        if found is None:
            found = self._tiles[groups, wide] = self._cut(groups, wide)
        return found

    def _cut(self, groups: int, wide: int) -> _Tiles:
        narrow = max(NARROW, triton.next_power_of_2(groups))
        if self._given is not None:
            return _Tiles(self._given, 1, narrow)
        most = max(place.size for place in self._places)
        block_m = narrow if most <= NARROW else max(wide, narrow)
        most = min(most, block_m // groups)
        numbers = [
            tile
            for index, place in enumerate(self._places)
            for tile in _tiles_of(place, index, block_m // groups, self._memory.block_tokens)
        ]
        return _Tiles(torch.tensor(numbers, dtype=torch.int32, device=self._tables.device), most, block_m)


def _tiles_of(place: Place, index: int, rows: int, slots: int) -> list[tuple[int, int, int, int, int]]:
    begun = (place.context - 1) % slots < place.size
    found = []
    for at in range(0, place.size, rows):
        count = min(rows, place.size - at)
        clears = begun and at + count == place.size
        found.append((place.row + at, count, place.context - place.size + at, index, int(clears)))
    return found


def _rows_together(x: torch.Tensor) -> torch.Tensor:
    return x if x.stride(3) == 1 else x.contiguous()


def _power(dim: int) -> int:
    return max(16, int(triton.next_power_of_2(dim)))
