"""M-RoPE positions of prompts put together from blocks; that they are transformers' is shown with its model at hand."""

import numpy as np

from omnipipe.families.omni_parts.blocks import Block, Grid, Plain, Woven
from omnipipe.families.qwen3_omni.positions import cut, rope_positions


def test_text_alone_counts() -> None:
    assert rope_positions([Plain(2), Plain(0), Plain(3)]).tolist() == [[0, 1, 2, 3, 4]] * 3
    assert rope_positions([]).shape == (3, 0)


def test_what_follows_an_image_begins_behind_its_larger_side() -> None:
    times, heights, widths = rope_positions([Plain(1), Grid(1, 2, 3), Plain(2)]).tolist()
    assert times == [0, 1, 1, 1, 1, 1, 1, 4, 5]
    assert heights == [0, 1, 1, 1, 2, 2, 2, 4, 5]
    assert widths == [0, 1, 2, 3, 1, 2, 3, 4, 5]


def test_sound_and_pictures_go_by_their_times_pictures_first() -> None:
    times = rope_positions([Woven(Grid(2, 1, 2, 2.5), 4)])[0].tolist()
    assert times == [0, 0, 0, 1, 2, 2.5, 2.5, 3]
    assert rope_positions([Woven(Grid(2, 1, 1, 2.5), 0), Plain(1)])[0].tolist() == [0, 2.5, 3.5]


def test_media_is_cut_out_whole() -> None:
    blocks: list[Block] = [Plain(2), Grid(1, 2, 2), Plain(3), Woven(Grid(1, 1, 1), 2), Plain(1)]
    kept = np.array([0, 1] + [1] * 4 + [1, 0, 0] + [0] * 3 + [1], bool)
    assert cut(blocks, kept) == [Plain(1), Grid(1, 2, 2), Plain(1), Plain(1)]
