"""M-RoPE positions: where a prompt's tokens stand in time, height and width.

As `get_rope_index` of transformers gives them, computed from what is known of the prompt's make-up rather than read out
of its tokens: that function cannot tell a silent video from one whose sound is heard with it. In single precision as
there, for a video's times need not be whole numbers.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, assert_never

import numpy as np

from omnipipe.families.omni_parts.blocks import Block, Grid, Plain, Woven

if TYPE_CHECKING:
    import numpy.typing as npt

    Positions = npt.NDArray[np.float32]

__all__ = ["cut", "rope_positions"]


def rope_positions(blocks: Sequence[Block]) -> "Positions":
    """`[3, n]`: each block begins behind the one before."""
    pieces: list[Positions] = []
    start = np.float32(0)
    for block in blocks:
        if not block.size:
            continue
        match block:
            case Plain(size):
                piece = last = _plain(size, start)
            case Grid():
                piece = last = _grid(block, start)
            case Woven(grid, sound):
                piece, last = _woven(_grid(grid, start), _plain(sound, start))
            case _:
                assert_never(block)
        pieces.append(piece)
        start = last.max() + np.float32(1)
    return np.concatenate(pieces, axis=1) if pieces else np.zeros((3, 0), np.float32)


def cut(blocks: Sequence[Block], kept: "npt.NDArray[np.bool_]") -> list[Block]:
    """The blocks of the positions that are kept: media is kept whole or not at all."""
    left: list[Block] = []
    at = 0
    for block in blocks:
        here = kept[at : at + block.size]
        at += block.size
        if isinstance(block, Plain):
            left.append(Plain(int(here.sum())))
        elif here.any():
            left.append(block)
    return left


def _plain(size: int, start: np.float32) -> "Positions":
    return np.broadcast_to(np.arange(size, dtype=np.float32) + start, (3, size))


def _grid(grid: Grid, start: np.float32) -> "Positions":
    times = np.arange(grid.times, dtype=np.float32) * np.float32(grid.step)
    axes = np.meshgrid(
        times, np.arange(grid.height, dtype=np.float32), np.arange(grid.width, dtype=np.float32), indexing="ij"
    )
    return np.stack([axis.reshape(-1) for axis in axes]) + start


def _woven(pictures: "Positions", sound: "Positions") -> "tuple[Positions, Positions]":
    """Both in order of time, pictures first where they are equal; and the end of it that is of one kind alone, which
    what follows is counted from."""
    shown, heard = pictures[0], sound[0]
    woven = np.empty((3, shown.size + heard.size), np.float32)
    woven[:, np.arange(shown.size) + np.searchsorted(heard, shown, "left")] = pictures
    woven[:, np.arange(heard.size) + np.searchsorted(shown, heard, "right")] = sound
    if not heard.size:
        return woven, pictures
    after = int(np.searchsorted(shown, heard[-1], "right"))
    if after < shown.size:
        return woven, pictures[:, after:]
    return woven, sound[:, int(np.searchsorted(heard, shown[-1], "left")) :]
