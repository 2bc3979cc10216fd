"""How good a model folder is at questions its training never saw: `python -m tools.tiny_omni.evaluate DIR`.

By transformers' own generate, greedily. Right means the whole answer, character by character; of speech, that the
decoder reads the answer's text out of the waveform.
"""

import argparse
import random
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Final

import numpy as np
import soxr  # type: ignore[import-untyped]
import torch
from tools.tiny_omni.batching import FRAME_PIXELS, QWENS_FRAME_PIXELS, encode
from tools.tiny_omni.questions import HEARS_HZ, TASKS, Question, questions
from tools.tiny_omni.tones import RATE_HZ, VOICES, Wave, decode, spoken
from transformers import AutoProcessor, Qwen3OmniMoeForConditionalGeneration, Qwen3OmniMoeProcessor
from transformers.utils.logging import disable_progress_bar

__all__ = ["OmniModel", "measure_echo", "measure_speech", "measure_text"]

_LONGEST: Final = 64
"""Tokens of an answer; the longest right one has 51."""


class OmniModel:
    def __init__(self, folder: Path) -> None:
        disable_progress_bar()  # type: ignore[no-untyped-call]  # it would leave a thread behind
        model: Any = Qwen3OmniMoeForConditionalGeneration.from_pretrained(folder, dtype=torch.float32)
        model.talker.config.audio_config = model.config.thinker_config.audio_config  # get_rope_index asks for it
        self.model: Any = model.train(False)
        processor = AutoProcessor.from_pretrained(folder)  # type: ignore[no-untyped-call]
        assert isinstance(processor, Qwen3OmniMoeProcessor)
        self.processor = processor

    def write(self, asked: Sequence[Question], frame_pixels: int = FRAME_PIXELS) -> list[str]:
        """The answers as text, in one batch."""
        inputs = encode(self.processor, asked, answered=False, side="left", frame_pixels=frame_pixels)
        with torch.inference_mode():
            ids = self.model.generate(
                **inputs, return_audio=False, thinker_max_new_tokens=_LONGEST, thinker_eos_token_id=self._end
            )
        return self._texts(ids, inputs["input_ids"].shape[1])

    def speak(self, asked: Question, voice: str) -> tuple[str, Wave]:
        inputs = encode(self.processor, [asked], answered=False, side="left")
        with torch.inference_mode():
            ids, wave = self.model.generate(
                **inputs,
                speaker=voice,
                thinker_max_new_tokens=_LONGEST,
                thinker_eos_token_id=self._end,
                talker_do_sample=False,
                talker_max_new_tokens=4 * _LONGEST,
            )
        return self._texts(ids, inputs["input_ids"].shape[1])[0], wave.reshape(-1).numpy()

    @property
    def _end(self) -> int:
        return int(self.model.config.im_end_token_id)

    def _texts(self, ids: torch.Tensor, start: int) -> list[str]:
        decode_all: Any = self.processor.batch_decode
        return list(map(str, decode_all(ids[:, start:], skip_special_tokens=True)))


def _held_out(task: str, count: int, seed: int) -> list[Question]:
    return list(islice(questions(random.Random(f"{seed}{task}"), task, held=True), count))


def measure_text(
    model: OmniModel, task: str, count: int, seed: int, frame_pixels: int = FRAME_PIXELS
) -> tuple[float, list[tuple[Question, str]]]:
    """The share of right answers, and the wrong ones."""
    asked = _held_out(task, count, seed)
    rows = 50 if frame_pixels == FRAME_PIXELS else 4
    said = [text for at in range(0, count, rows) for text in model.write(asked[at : at + rows], frame_pixels)]
    wrong = [(one, text) for one, text in zip(asked, said, strict=True) if text != one.answer]
    return 1 - len(wrong) / count, wrong


def measure_speech(model: OmniModel, count: int, seed: int) -> tuple[float, list[tuple[str, str]]]:
    """The share of answers whose speech is read back as their text, in all tasks and voices in turn."""
    wrong = []
    for number in range(count):
        task = list(TASKS)[number % len(TASKS)]
        (asked,) = _held_out(task, 1, seed + number)
        text, wave = model.speak(asked, list(VOICES)[number % len(VOICES)])
        heard = decode(wave)
        if heard != spoken(text).rstrip(" "):
            wrong.append((text, heard))
    return 1 - len(wrong) / count, wrong


def measure_echo(model: OmniModel, count: int, seed: int) -> tuple[float, list[tuple[str, str]]]:
    """The share of digits, spoken by the model, that it understands when it hears itself."""
    wrong = []
    for number, first in enumerate(_held_out("digits", count, seed)):
        text, wave = model.speak(first, list(VOICES)[number % len(VOICES)])
        heard = soxr.resample(wave, RATE_HZ, HEARS_HZ).astype(np.float32)
        (again,) = model.write([Question("echo", "", "What do you hear?", text, audio=heard)])
        if again != text:
            wrong.append((text, again))
    return 1 - len(wrong) / count, wrong


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--count", type=int, default=200, help="questions of each task")
    parser.add_argument("--spoken", type=int, default=63, help="answers spoken, and spoken digits heard again")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--wrong", type=int, default=3, help="wrong answers to show of each task")
    args = parser.parse_args()
    torch.set_num_threads(1)
    model = OmniModel(args.folder)
    for task, pixels in [*((task, FRAME_PIXELS) for task in TASKS), ("flashes", QWENS_FRAME_PIXELS)]:
        count = args.count if pixels == FRAME_PIXELS else args.count // 4  # a thousand tokens each
        share, missed = measure_text(model, task, count, args.seed, pixels)
        print(f"{task:10} {100 * share:5.1f}%" + (" in large frames" if pixels > FRAME_PIXELS else ""), flush=True)
        for question, text in missed[: args.wrong]:
            print(f"    {question.key!r} {question.text!r} -> {text!r}, not {question.answer!r}")
    for name, measure in (("speech", measure_speech), ("echo", measure_echo)):
        share, wrong = measure(model, args.spoken, args.seed)
        print(f"{name:10} {100 * share:5.1f}%", flush=True)
        for pair in wrong[: args.wrong]:
            print(f"    {pair[0]!r} -> {pair[1]!r}")


if __name__ == "__main__":
    main()
