"""Decode steps as graphs: what a step launches is recorded once for a number of rows, and played back.

A step in which each sequence computes one position is always the same launches on the same memory, if what differs is
read from tensors that stay where they are: token, position and blocks of each row. Python, which otherwise takes longer
over a layer than the device, then has one call to make. Must not decide whether a graph is right; `quick` compares.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol

import torch

from omnipipe.engines.autoregressive.attention import AttentionStep
from omnipipe.engines.autoregressive.cuda.device_step import DeviceStep, decode_tiles, processors
from omnipipe.engines.autoregressive.kv import KvMemory, Place

__all__ = ["Capture", "CudaCapture", "DecodeGraph", "Forward", "sizes"]

_WARM: Final = 2
"""Runs before a capture: what libraries allocate at first use must not be part of it."""
_BEFORE: Final = 4
"""Numbers of a row before its blocks: token, 1 unless it is padding, position, and one that is not used, so that blocks
begin at a multiple of 16 bytes, as they do where the kernel is launched one by one: it is compiled for that."""


class Capture(Protocol):
    """Records what a function does to the device's memory. What it returns does that again and gives the function's
    result, each time in the same memory."""

    def __call__(self, function: Callable[[], torch.Tensor]) -> Callable[[], torch.Tensor]: ...


class Forward(Protocol):
    """The model: token ids and positions `[1, T]`, rows whose logits are wanted, to `[n, vocabulary]` in f32."""

    def __call__(
        self, ids: torch.Tensor, positions: torch.Tensor, keep: torch.Tensor, step: AttentionStep
    ) -> torch.Tensor: ...


class CudaCapture:
    """Graphs share one pool of memory: no two of them run at a time."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._pool: Any = None  # an opaque handle

    def __call__(self, function: Callable[[], torch.Tensor]) -> Callable[[], torch.Tensor]:
        side = torch.cuda.Stream(self._device)  # type: ignore[no-untyped-call]
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(_WARM):
                function()
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self._pool, capture_error_mode="thread_local"):
            out = function()
        self._pool = graph.pool()

        def replay() -> torch.Tensor:
            graph.replay()
            return out

        return replay


class DecodeGraph:
    """Of at most `size` rows, each of at most `width` blocks."""

    def __init__(self, forward: Forward, memory: KvMemory, size: int, width: int, capture: Capture) -> None:
        device = memory.keys[0].device
        self.agreed = 0
        """Steps in which it gave what the model gives otherwise."""
        self._forward = forward
        self._memory = memory
        self._capture = capture
        self._processors = processors(device)
        self._numbers = torch.zeros((size, _BEFORE + width), dtype=torch.int32, device=device)
        self._keep = torch.arange(size, device=device)
        self._replay: Callable[[], torch.Tensor] | None = None

    def capture(self, places: Sequence[Place], ids: Sequence[int]) -> None:
        """With these rows in it, whose KV it writes."""
        self._load(places, ids)
        self._replay = self._capture(self._decode)

    def __call__(self, places: Sequence[Place], ids: Sequence[int]) -> torch.Tensor:
        """Logits of these; they hold until the next call. It has been captured."""
        assert self._replay is not None
        self._load(places, ids)
        return self._replay()[: len(ids)]

    def _decode(self) -> torch.Tensor:
        tokens, live, positions, _ = self._numbers[:, :_BEFORE].unbind(1)
        tiles = decode_tiles(live, positions, self._memory.block_tokens)
        step = DeviceStep(self._memory, self._numbers[:, _BEFORE:], self._processors, (), tiles)
        return self._forward(tokens.long()[None], positions.long()[None], self._keep, step)

    def _load(self, places: Sequence[Place], ids: Sequence[int]) -> None:
        used = _BEFORE + max(len(place.blocks) for place in places)
        lines = [[token, 1, place.context - 1, 0, *place.blocks] for token, place in zip(ids, places, strict=True)]
        lines += [[0]] * (len(self._numbers) - len(lines))
        padded = [[*line, *([0] * (used - len(line)))] for line in lines]
        self._numbers[:, :used].copy_(torch.tensor(padded, dtype=torch.int32))


def sizes(max_batch: int) -> list[int]:
    """1, 2, 4, 8, ... and the largest batch itself."""
    found = [1]
    while found[-1] < max_batch:
        found.append(min(2 * found[-1], max_batch))
    return found
