"""M-RoPE positions, as `get_rope_index` of transformers' Qwen2.5-Omni gives them: whole numbers, and sound and
pictures of one video in turns, some seconds of the one and then the same seconds of the other."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from omnipipe.families.omni_parts.blocks import Block, Grid, Plain, Woven

if TYPE_CHECKING:
    import numpy.typing as npt

    Positions = npt.NDArray[np.float32]

__all__ = ["Pace", "rope_positions"]


@dataclass(frozen=True, slots=True)
class Pace:
    """How a model counts time."""

    per_second: int
    chunk: int
    """Positions after which sound and pictures take turns."""


def rope_positions(blocks: Sequence[Block], pace: Pace) -> "Positions":
    """`[3, n]`: each block begins behind the end of the one before. A `Grid`'s step is in seconds; the marks on both
    sides of a `Woven` are in it, and each two of them stand in one place."""
    pieces: list[Positions] = []
    start = 0
    for block in blocks:
        if not block.size:
            continue
        match block:
            case Plain(size):
                made = [_plain(size, start)]
            case Grid():
                made = [_grid(block, start, pace)]
            case Woven(grid, sound):
                made = [*_woven(grid, sound, start, pace)]
        pieces.extend(made)
        start = int(made[-1].max()) + 1
    return np.concatenate(pieces, axis=1).astype(np.float32) if pieces else np.zeros((3, 0), np.float32)


def _plain(size: int, start: int) -> "Positions":
    return np.broadcast_to(np.arange(start, start + size, dtype=np.float32), (3, size))


def _grid(grid: Grid, start: int, pace: Pace) -> "Positions":
    times = np.arange(grid.times, dtype=np.float32) * np.float32(grid.step) * np.float32(pace.per_second)
    height, width = np.arange(grid.height, dtype=np.float32), np.arange(grid.width, dtype=np.float32)
    axes = np.meshgrid(np.trunc(times), height, width, indexing="ij")
    return np.stack([axis.reshape(-1) for axis in axes]).astype(np.float32) + np.float32(start)


def _woven(grid: Grid, sound: int, start: int, pace: Pace) -> "Iterator[Positions]":
    """With two marks before and two behind."""
    yield _plain(1, start)
    yield _plain(1, start)
    start += 1
    shown, heard = _chunks(_grid(grid, start, pace), start, pace), _chunks(_plain(sound, start), start, pace)
    last = start
    for at in range(max(len(shown), len(heard))):
        for chunks in (shown, heard):
            if at < len(chunks):
                yield chunks[at]
                last = int(chunks[at].max())
    yield _plain(1, last + 1)
    yield _plain(1, last + 1)


def _chunks(positions: "Positions", start: int, pace: Pace) -> "list[Positions]":
    """One ends where a time is reached that the next should begin with: one cut for one position, as there."""
    cuts: list[int] = []
    for at, time in enumerate((positions[0] - start).tolist()):
        if time >= (len(cuts) + 1) * pace.chunk:
            cuts.append(at)
    return np.split(positions, cuts, axis=1)
