"""The memory that keys and values lie in, and attention over it in plain torch operations.

For each layer K is `[block, head, dim, slot]` and V `[block, head, slot, dim]`: the layout in which a dot product with
many keys, and a sum over many values, both read memory in order. Block 0 stays zero; padding points at it.
"""

import math
import mmap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import torch
from torch.nn.functional import scaled_dot_product_attention

from omnipipe.engines.autoregressive.architecture import Architecture
from omnipipe.engines.kernels.native import NativeKernels

__all__ = ["KvMemory", "PagedStep", "Place"]

_LARGE: Final = 4 << 20
"""Bytes from which on large pages are asked for: two of them."""


class KvMemory:
    """`blocks` usable ones, numbered from 1."""

    def __init__(
        self, architecture: Architecture, blocks: int, block_tokens: int, dtype: torch.dtype, device: torch.device
    ) -> None:
        self.block_tokens = block_tokens
        self.native: NativeKernels | None = None
        """Where its kernel takes these shapes, and the engine wants it."""
        count = blocks + 1
        self.keys = [_zeros((count, s.kv_heads, s.key_dim, block_tokens), dtype, device) for s in architecture.layers]
        self.values = [
            _zeros((count, s.kv_heads, block_tokens, s.value_dim), dtype, device) for s in architecture.layers
        ]


def _zeros(shape: Sequence[int], dtype: torch.dtype, device: torch.device) -> torch.Tensor:
    """In large pages where the system has them: blocks of a few KiB lie anywhere, and each would be a page to look up.
    All of it is written at once, so that what a machine has too little memory for fails now rather than some day."""
    size = math.prod(shape) * dtype.itemsize
    advice = getattr(mmap, "MADV_HUGEPAGE", None)
    if device.type != "cpu" or advice is None or size < _LARGE:
        return torch.zeros(shape, dtype=dtype, device=device)
    try:
        memory = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        memory.madvise(advice)
    except OSError:  # a kernel without large pages; or no room, which torch says in its own words
        return torch.zeros(shape, dtype=dtype, device=device)
    return torch.frombuffer(memory, dtype=dtype).view(shape).zero_()


@dataclass(frozen=True, slots=True)
class Place:
    """Where a slice lies: `size` rows of the packed row, the last of them at position `context - 1`."""

    row: int
    size: int
    context: int
    blocks: Sequence[int]


@dataclass(slots=True)
class _Group:
    """Single positions whose contexts are of about one length, computed together."""

    rows: torch.Tensor
    tables: torch.Tensor
    """`[S, blocks]`, padded with block 0."""
    last: torch.Tensor
    """`[S]`: the position of each."""


class PagedStep:
    """`attention.AttentionStep` for the slices of one step."""

    def __init__(self, memory: KvMemory, places: Sequence[Place]) -> None:
        self._memory = memory
        self._device = memory.keys[0].device
        self._native = memory.native is not None and memory.native.ready
        if self._native:
            width = max(len(place.blocks) for place in places)
            tables = [[*place.blocks, *([0] * (width - len(place.blocks)))] for place in places]
            self._all_tables = torch.tensor(tables, dtype=torch.int32)
            self._all_places = torch.tensor([[p.row, p.size, p.context] for p in places], dtype=torch.int32)
        else:
            self._prepare(places)

    def _prepare(self, places: Sequence[Place]) -> None:
        """What plain torch operations need."""
        size = self._memory.block_tokens
        blocks: list[int] = []
        slots: list[int] = []
        for place in places:
            for position in range(place.context - place.size, place.context):
                blocks.append(place.blocks[position // size])
                slots.append(position % size)
        self._blocks = self._tensor(blocks)
        self._slots = self._tensor(slots)
        begun = [block for block, slot in zip(blocks, slots, strict=True) if slot == 0]
        self._begun = self._tensor(begun) if begun else None
        """Blocks whose first slot is written now. Zeroed before: what somebody left there may not be a number, and a
        position that is not attended to still counts as 0 times its value."""
        self._chunks = [place for place in places if place.size > 1]
        self._groups = self._group([place for place in places if place.size == 1])
        self._tables = [self._tensor(place.blocks) for place in self._chunks]
        self._windows: dict[int, list[tuple[torch.Tensor, torch.Tensor]]] = {}
        self._masks: dict[tuple[int, int], torch.Tensor | None] = {}

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
        keys, values = self._memory.keys[layer], self._memory.values[layer]
        if self._native:
            found: torch.Tensor = torch.ops.omnipipe.paged_attention(
                query, key, value, keys, values, self._all_places, self._all_tables, scale, window, softcap
            )
            return found
        if self._begun is not None:
            keys.index_fill_(0, self._begun, 0.0)
            values.index_fill_(0, self._begun, 0.0)
        keys[self._blocks, :, :, self._slots] = key[0].transpose(0, 1)
        values[self._blocks, :, self._slots] = value[0].transpose(0, 1)
        out = query.new_empty((1, query.shape[2], query.shape[1], value.shape[3]))
        for group, (tables, visible) in zip(self._groups, self._seen(window), strict=True):
            self._decode(out, group, tables, visible, query, keys, values, scale, softcap, sinks)
        for index, place in enumerate(self._chunks):
            rows = slice(place.row, place.row + place.size)
            k, v = key[:, :, rows], value[:, :, rows]
            if place.context > place.size:
                table = self._tables[index]
                k = keys[table].permute(1, 0, 3, 2).reshape(1, keys.shape[1], -1, keys.shape[2])[:, :, : place.context]
                v = values[table].transpose(0, 1).reshape(1, keys.shape[1], -1, values.shape[3])[:, :, : place.context]
            mask = self._mask(index, place, window)
            out[:, rows] = _attend(query[:, :, rows], k, v, mask, scale, softcap, sinks).transpose(1, 2)
        return out

    def compute_layer(
        self,
        layer: int,
        x: torch.Tensor,
        cos: torch.Tensor,
        sin: torch.Tensor,
        parts: list[torch.Tensor],
        sizes: list[int],
        numbers: list[float],
    ) -> torch.Tensor:
        """All of a layer, in the kernel: see `layers.FusedLayer`."""
        if not self._native:
            raise TypeError("this layer's weights are laid out for the kernel, which this step is not for")
        found: torch.Tensor = torch.ops.omnipipe.decoder_layer(
            x, cos, sin, self._memory.keys[layer], self._memory.values[layer], self._all_places, self._all_tables,
            parts, sizes, numbers,
        )  # fmt: skip
        return found

    def _decode(
        self,
        out: torch.Tensor,
        group: _Group,
        tables: torch.Tensor,
        visible: torch.Tensor,
        query: torch.Tensor,
        keys: torch.Tensor,
        values: torch.Tensor,
        scale: float,
        softcap: float,
        sinks: torch.Tensor | None,
    ) -> None:
        count, kv_heads = tables.shape[0], keys.shape[1]
        q = query[0][:, group.rows].transpose(0, 1).reshape(count, kv_heads, -1, query.shape[3])
        k = keys[tables].permute(0, 2, 3, 1, 4).reshape(count, kv_heads, keys.shape[2], -1)
        v = values[tables].transpose(1, 2).reshape(count, kv_heads, -1, values.shape[3])
        scores = torch.matmul(q, k).mul_(scale)
        if softcap:
            scores = torch.tanh(scores / softcap) * softcap
        scores = scores.masked_fill_(~visible, float("-inf"))
        beside = None if sinks is None else sinks.reshape(1, kv_heads, -1, 1)
        weights = _softmax(scores, beside).to(v.dtype)
        out[0, group.rows] = torch.matmul(weights, v).reshape(count, -1, values.shape[3])

    def _group(self, places: Sequence[Place]) -> list[_Group]:
        """Within a group the longest context is at most about twice the shortest, so that padding stays small."""
        ranked: dict[int, list[Place]] = {}
        for place in places:
            ranked.setdefault(len(place.blocks).bit_length(), []).append(place)
        groups = []
        for members in ranked.values():
            width = max(len(place.blocks) for place in members)
            tables = [[*place.blocks, *([0] * (width - len(place.blocks)))] for place in members]
            groups.append(
                _Group(
                    self._tensor([place.row for place in members]),
                    torch.tensor(tables, device=self._device),
                    self._tensor([place.context - 1 for place in members]),
                )
            )
        return groups

    def _seen(self, window: int) -> list[tuple[torch.Tensor, torch.Tensor]]:
        """For each group the tables to read and `[S, 1, 1, L]`: which of their positions are attended to."""
        found = self._windows.get(window)
        if found is None:
            found = self._windows[window] = [self._seen_by(group, window) for group in self._groups]
        return found

    def _seen_by(self, group: _Group, window: int) -> tuple[torch.Tensor, torch.Tensor]:
        size, tables, last = self._memory.block_tokens, group.tables, group.last[:, None]
        width = tables.shape[1]
        first = torch.zeros_like(last)
        if window and window // size + 2 < width:
            # Only the blocks that the window touches, wherever they are in each sequence.
            width = window // size + 2
            first = ((last - window + 1).clamp(min=0) // size).clamp(max=tables.shape[1] - width)
            tables = tables.gather(1, first + torch.arange(width, device=self._device))
        positions = first * size + torch.arange(width * size, device=self._device)
        visible = positions <= last
        if window:
            visible &= positions > last - window
        return tables, visible[:, None, None]

    def _mask(self, index: int, place: Place, window: int) -> torch.Tensor | None:
        """`[size, context]`; None: causal, and nothing before the chunk."""
        cut = window if 0 < window < place.context else 0
        if place.context == place.size and not cut:
            return None
        found = self._masks.get((index, cut))
        if found is None:
            columns = torch.arange(place.context, device=self._device)
            rows = torch.arange(place.context - place.size, place.context, device=self._device)[:, None]
            found = columns <= rows
            if cut:
                found &= columns > rows - cut
            self._masks[index, cut] = found
        return found

    def _tensor(self, numbers: Sequence[int]) -> torch.Tensor:
        return torch.tensor(numbers, dtype=torch.long, device=self._device)


def _attend(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    mask: torch.Tensor | None,
    scale: float,
    softcap: float,
    sinks: torch.Tensor | None,
) -> torch.Tensor:
    groups = query.shape[1] // key.shape[1]
    if not softcap and sinks is None:
        return scaled_dot_product_attention(
            query, key, value, mask, is_causal=mask is None, scale=scale, enable_gqa=groups > 1
        )
    size = query.shape[2]
    if mask is None:
        mask = torch.ones((size, size), dtype=torch.bool, device=query.device).tril()
    key, value = key.repeat_interleave(groups, 1), value.repeat_interleave(groups, 1)
    scores = torch.matmul(query, key.transpose(2, 3)) * scale
    if softcap:
        scores = torch.tanh(scores / softcap) * softcap
    weights = _softmax(scores.masked_fill(~mask, float("-inf")), None if sinks is None else sinks.reshape(1, -1, 1, 1))
    return torch.matmul(weights.to(value.dtype), value)


def _softmax(scores: torch.Tensor, sinks: torch.Tensor | None) -> torch.Tensor:
    """In f32. `sinks`: one more score for each row, whose weight is left out."""
    if sinks is None:
        return torch.softmax(scores, -1, dtype=torch.float32)
    beside = sinks.to(scores).expand(*scores.shape[:-1], 1)
    return torch.softmax(torch.cat([scores, beside], -1), -1, dtype=torch.float32)[..., :-1]
