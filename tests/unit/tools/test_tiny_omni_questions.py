"""The questions tiny-omni is trained on: what is shown, heard and flashed is what the answer says."""

import random
from itertools import islice

import numpy as np
import pytest
from tools.tiny_omni.pictures import COLOURS, SHAPES, draw, flashing, pattern
from tools.tiny_omni.questions import HEARS_HZ, TASKS, held_out, questions
from tools.tiny_omni.tones import SYMBOL_S, decode


@pytest.mark.parametrize("count", range(7))
def test_flashes_are_single_frames_apart(count: int) -> None:
    for seed in range(50):
        frames = pattern(random.Random(seed), count)
        assert frames.count("#") == count
        assert "##" not in frames
        assert len(frames) >= 4
        assert len(frames) % 2 == 0


def test_a_flash_is_a_bright_frame() -> None:
    video = flashing(random.Random(1), ".#..#.")
    assert ["#" if frame.mean() > 127 else "." for frame in video] == list(".#..#.")


@pytest.mark.parametrize("colour", COLOURS)
@pytest.mark.parametrize("shape", SHAPES)
def test_the_shape_has_its_colour(colour: str, shape: str) -> None:
    pixels = np.asarray(draw(random.Random(3), colour, shape)).astype(int)
    near = np.abs(pixels - np.array(COLOURS[colour])).max(-1) <= 12
    assert 0.05 < near.mean() < 0.7


def test_digits_are_in_the_clip() -> None:
    for question in islice(questions(random.Random(5), "digits"), 20):
        assert question.audio is not None
        starts = np.arange(0, 0.31, SYMBOL_S / 16)
        assert any(decode(question.audio, HEARS_HZ, start).strip() == question.answer for start in starts)


@pytest.mark.parametrize("task", TASKS)
def test_what_is_held_out_is_not_trained_on(task: str) -> None:
    trained = {question.key for question in islice(questions(random.Random(1), task), 200)}
    kept = list(islice(questions(random.Random(2), task, held=True), 5))
    assert all(held_out(question) for question in kept)
    assert not trained & {question.key for question in kept}
