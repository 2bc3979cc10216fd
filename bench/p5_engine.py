"""P5: tokens a second of the autoregressive engine, end to end, against transformers' own generate on the same model.

A random Qwen3 of 41.6 M parameters in f32; 64 tokens in and 64 out at batch 1, 8 and 32, and 32 ragged prompts (16-512
in, 16-112 out) that arrive over time. The engine is the one that serves: scheduler, sampler, paged KV and a program
that turns tokens into text. `generate` has the whole batch from the start, padded. Both in turns, in one process.
"""

import argparse
import random
import statistics
import time
from collections.abc import Sequence
from typing import Any

import torch
from bench.engine_load import VOCABULARY, Load, Served, random_model
from bench.row import Row
from transformers import PreTrainedModel

__all__ = ["loads", "rows"]

_GOALS = {"b1": 1.6, "b8": 2.0, "b32": 1.8, "ragged 32": 3.7}
_OVERHEAD = 0.10


def loads() -> list[Load]:
    rng = random.Random(1)

    def prompt(size: int) -> list[int]:
        return [rng.randrange(2, VOCABULARY) for _ in range(size)]

    even = [Load(f"b{n}", [prompt(64) for _ in range(n)], [64] * n) for n in (1, 8, 32)]
    ragged = [prompt(rng.randint(16, 512)) for _ in range(32)]
    return [*even, Load("ragged 32", ragged, [rng.randint(16, 112) for _ in range(32)], 0.02)]


def _generate(model: PreTrainedModel, load: Load) -> float:
    """The static batch: padded on the left, as many steps as the longest answer."""
    width = max(map(len, load.prompts))
    ids = torch.tensor([[0] * (width - len(prompt)) + prompt for prompt in load.prompts])
    mask = torch.tensor([[0] * (width - len(prompt)) + [1] * len(prompt) for prompt in load.prompts])
    most = max(load.new)
    generate: Any = model.generate
    started = time.perf_counter()
    with torch.inference_mode():
        generate(ids, attention_mask=mask, do_sample=False, max_new_tokens=most, min_new_tokens=most, pad_token_id=0)
    return time.perf_counter() - started


def rows(runs: int = 5, only: Sequence[str] = ()) -> list[Row]:
    ours, theirs = Served(random_model()), random_model()
    found = []
    for load in loads():
        if only and load.name.split()[0] not in only:
            continue
        ours.run(load)
        ours.forward_s = 0.0
        pairs = [(ours.run(load), _generate(theirs, load)) for _ in range(runs)]
        tokens = sum(load.new)
        figure, baseline = (tokens / statistics.median(column) for column in zip(*pairs, strict=True))
        ratio = statistics.median(theirs_s / ours_s for ours_s, theirs_s in pairs)
        goal = _GOALS[load.name]
        found.append(
            Row(
                "P5",
                f"engine, Qwen3 41.6M f32, {load.name}",
                f"{figure:,.0f} tok/s",
                f"{baseline:,.0f} tok/s, generate",
                ratio,
                f">= {goal}",
                ratio >= goal,
            )
        )
        if load.name == "b32":
            outside = 1 - ours.forward_s / sum(ours_s for ours_s, _ in pairs)
            work = "engine time outside of the forward, b32"
            found.append(Row("P5", work, f"{outside:.1%}", "", None, f"<= {_OVERHEAD:.0%}", outside <= _OVERHEAD))
    ours.engine.close()
    return found


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("only", nargs="*")
    parser.add_argument("--runs", type=int, default=3)
    given = parser.parse_args()
    for row in rows(given.runs, given.only):
        print(row)
