"""Trains thinker and encoders together on the answers: `python -m tools.tiny_omni.train_thinker --into DIR`.

The token embeddings stay as they are drawn, so that the talker, which is fed with them, can be trained beside it.
"""

import argparse
import random
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from tools.tiny_omni.batching import QWENS_FRAME_PIXELS, encode, make_processor
from tools.tiny_omni.checkpoint import load, save
from tools.tiny_omni.muon import optimizers
from tools.tiny_omni.questions import TASKS, Question, questions
from tools.tiny_omni.shape import make_config
from torch import Tensor, nn
from transformers import Qwen3OmniMoeProcessor
from transformers.models.qwen3_omni_moe.modeling_qwen3_omni_moe import (
    Qwen3OmniMoeThinkerForConditionalGeneration as Thinker,
)

__all__ = ["NAME", "make_thinker"]

NAME = "thinker"
_POOL = 4
"""Batches whose questions are sorted by length together: little padding."""
_WARMUP_STEPS = 100
_WIDE = ((12, 64 * 64), (6, 128 * 128), (4, 192 * 192), (2, QWENS_FRAME_PIXELS))
_WIDE_SHARE = 0.3
_WIDE_WEIGHT = 0.3
"""Of the loss, beside that of the batch proper: they are few."""
_EMBEDDING = 0.1
"""Standard deviation."""
_SEED_OF_EMBEDDINGS = 7


def make_thinker() -> Any:
    config: Any = make_config(make_processor().tokenizer).thinker_config
    for part in (config, config.text_config, config.vision_config, config.audio_config):
        part.initializer_range = 0.04
    model: Any = Thinker._from_config(config)  # type: ignore[no-untyped-call]
    embedding = model.get_input_embeddings().weight
    with torch.no_grad():
        embedding.normal_(0.0, _EMBEDDING, generator=torch.Generator().manual_seed(_SEED_OF_EMBEDDINGS))
    embedding.requires_grad_(False)
    return model


def batches(
    processor: Qwen3OmniMoeProcessor, rng: random.Random, rows: int
) -> Iterator[tuple[list[Question], dict[str, Tensor]]]:
    source = questions(rng)
    while True:
        pool = sorted((next(source) for _ in range(_POOL * rows)), key=_length)
        groups = [pool[at : at + rows] for at in range(0, len(pool), rows)]
        rng.shuffle(groups)
        for group in groups:
            yield group, encode(processor, group, answered=True)


def wide(processor: Qwen3OmniMoeProcessor, rng: random.Random) -> dict[str, Tensor]:
    """Videos with more pixels, up to what the processor makes of them when nobody asks for less; fewer of them."""
    rows, pixels = rng.choice(_WIDE)
    group = list(islice(questions(rng, "flashes"), rows))
    return encode(processor, group, answered=True, frame_pixels=pixels)


def _length(question: Question) -> float:
    media = 6 if question.image is not None else 0
    media += len(question.video) // 2 + 2 if question.video is not None else 0
    media += len(question.audio) // 1280 + 2 if question.audio is not None else 0
    return len(question.text) + len(question.answer) + media


def loss_of(model: Any, batch: dict[str, Tensor]) -> tuple[Tensor, list[bool]]:
    """Cross entropy of the answers, and which of them are right throughout."""
    lengths = batch["feature_attention_mask"].sum(1) if "feature_attention_mask" in batch else None
    seconds = batch.get("video_second_per_grid")
    positions, _ = model.get_rope_index(
        batch["input_ids"],
        batch.get("image_grid_thw"),
        batch.get("video_grid_thw"),
        batch["attention_mask"],
        False,
        lengths,
        None if seconds is None else torch.as_tensor(seconds),
    )
    inputs = {key: value for key, value in batch.items() if key not in ("labels", "video_second_per_grid")}
    hidden = model.model(**inputs, position_ids=positions, use_cache=False).last_hidden_state
    wanted = batch["labels"][:, 1:]
    there = wanted != -100
    logits = model.lm_head(hidden[:, :-1][there])
    loss = nn.functional.cross_entropy(logits, wanted[there])
    wrong = torch.zeros_like(there)
    wrong[there] = logits.argmax(-1) != wanted[there]
    return loss, (~wrong.any(1)).tolist()


def train(into: Path, steps: int, cooldown: int, rows: int, rate: float, seed: int) -> None:
    """A file `enough` in the folder ends it early and well: the cooldown begins, as with fewer steps."""
    torch.manual_seed(seed)
    processor = make_processor()
    model = make_thinker().train()
    muon, adam = optimizers(model, rate)
    first = load(into, NAME, model, adam)
    load(into, f"{NAME}-muon", nn.Module(), muon)
    rng = random.Random(seed + first)
    data = batches(processor, rng, rows)
    began, total, step = time.monotonic(), 0.0, first - 1
    right: dict[str, list[bool]] = {task: [] for task in TASKS}
    while (step := step + 1) < steps:
        if (into / "enough").exists() and step + cooldown < steps:
            steps = step + cooldown
            print(f"asked to end: {steps} steps", flush=True)
        for optimizer in (muon, adam):
            for settings in optimizer.param_groups:
                share = min(1.0, (step + 1) / _WARMUP_STEPS, (steps - step) / cooldown)
                settings["lr"] = rate * share * (1.0 if optimizer is muon else 0.5)
        asked, batch = next(data)
        loss, whole = loss_of(model, batch)
        loss.backward()  # type: ignore[no-untyped-call]
        if rng.random() < _WIDE_SHARE:
            more, _ = loss_of(model, wide(processor, rng))
            (_WIDE_WEIGHT * more).backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimizer in (muon, adam):
            optimizer.step()
            optimizer.zero_grad()
        total += loss.item()
        for question, answered in zip(asked, whole, strict=True):
            right[question.task].append(answered)
        if (step + 1) % 50 == 0:
            spent = time.monotonic() - began
            shares = " ".join(f"{task} {sum(found) / max(1, len(found)):.0%}" for task, found in right.items())
            print(f"{step + 1} loss {total / 50:.4f} {spent:.0f} s, right: {shares}", flush=True)
            total, right = 0.0, {task: [] for task in TASKS}
        if (step + 1) % 200 == 0 or step + 1 == steps:
            save(into, NAME, model, adam, step + 1)
            save(into, f"{NAME}-muon", nn.Module(), muon, step + 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--into", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=2300)
    parser.add_argument("--cooldown", type=int, default=600)
    parser.add_argument("--rows", type=int, default=32)
    parser.add_argument("--rate", type=float, default=0.005)
    parser.add_argument("--seed", type=int, default=7)
    args = parser.parse_args()
    torch.set_num_threads(1)
    train(args.into, args.steps, args.cooldown, args.rows, args.rate, args.seed)


if __name__ == "__main__":
    main()
