"""P5: tokens a second of the autoregressive engine, end to end, against transformers' own generate on the same model.

A random Qwen3 of 41.6 M parameters in f32; 64 tokens in and 64 out at batch 1, 8 and 32, and 32 ragged prompts (16-512
in, 16-112 out) that arrive over time. The engine is the one that serves: scheduler, sampler, paged KV and a program
that turns tokens into text. `generate` has the whole batch from the start, padded. Both in turns, in one process. And a
Qwen3-MoE that computes as much for each token, 32 tokens in and 16 out at batch 8. `--device cuda`: the same there, in
bf16.
"""

import argparse
import random
import statistics
import time
from collections.abc import Sequence
from typing import Any

import torch
from bench.engine_load import VOCABULARY, Load, Served, random_mixture, random_model
from bench.row import Row
from transformers import PreTrainedModel

__all__ = ["loads", "rows"]

_GOALS = {"b1": 1.6, "b8": 2.0, "b32": 1.8, "ragged 32": 3.7, "experts b8": 2.0}
_OVERHEAD = 0.10
_TRIAL_S = 400.0
_SETTLED = 3


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
    device = model.device
    ids = torch.tensor([[0] * (width - len(prompt)) + prompt for prompt in load.prompts], device=device)
    mask = torch.tensor([[0] * (width - len(prompt)) + [1] * len(prompt) for prompt in load.prompts], device=device)
    most = max(load.new)
    generate: Any = model.generate
    started = time.perf_counter()
    with torch.inference_mode():
        generate(ids, attention_mask=mask, do_sample=False, max_new_tokens=most, min_new_tokens=most, pad_token_id=0)
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - started


def _on(device: str, model: Any) -> PreTrainedModel:
    found: PreTrainedModel = model if device == "cpu" else model.to(device, torch.bfloat16)
    return found


def _settle(ours: Served, load: Load) -> None:
    """Runs it until the engine computes as it is going to: on a GPU that takes trials and captures."""
    ours.run(load)
    quick = ours.engine.quick
    if quick is not None and quick.rehearsal is not None:
        quick.rehearsal.wait(_TRIAL_S)
        for _ in range(_SETTLED):
            ours.run(load)
        print(f"kernel {'on' if quick.kernel_on else 'off'}, graphs {'on' if quick.graphs_on else 'off'}")
    ours.forward_s = 0.0


def rows(runs: int = 5, only: Sequence[str] = (), device: str = "cpu") -> list[Row]:
    found = []
    ours, theirs = Served(_on(device, random_model())), _on(device, random_model())
    for load in loads():
        if only and load.name.split()[0] not in only:
            continue
        row, taken = _compared("Qwen3 41.6M", ours, theirs, load, runs)
        found.append(row)
        if load.name == "b32":
            outside = 1 - ours.forward_s / taken
            work = "engine time outside of the forward, b32"
            found.append(Row("P5", work, f"{outside:.1%}", "", None, f"<= {_OVERHEAD:.0%}", outside <= _OVERHEAD))
    ours.engine.close()
    if not only or "experts" in only:
        mixture, plain = Served(_on(device, random_mixture())), _on(device, random_mixture())
        found.append(_compared("Qwen3-MoE 174M", mixture, plain, _mixed(), runs)[0])
        mixture.engine.close()
    return found


def _mixed() -> Load:
    rng = random.Random(2)
    return Load("experts b8", [[rng.randrange(2, VOCABULARY) for _ in range(32)] for _ in range(8)], [16] * 8)


def _compared(name: str, ours: Served, theirs: PreTrainedModel, load: Load, runs: int) -> tuple[Row, float]:
    """And how long ours took in all."""
    _settle(ours, load)
    pairs = [(ours.run(load), _generate(theirs, load)) for _ in range(runs)]
    tokens = sum(load.new)
    figure, baseline = (tokens / statistics.median(column) for column in zip(*pairs, strict=True))
    ratio = statistics.median(theirs_s / ours_s for ours_s, theirs_s in pairs)
    goal = _GOALS[load.name]
    kind = "f32" if theirs.device.type == "cpu" else f"bf16 on {theirs.device.type}"
    row = Row(
        "P5",
        f"engine, {name} {kind}, {load.name}",
        f"{figure:,.0f} tok/s",
        f"{baseline:,.0f} tok/s, generate",
        ratio,
        f">= {goal}",
        ratio >= goal,
    )
    return row, sum(ours_s for ours_s, _ in pairs)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("only", nargs="*")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--device", default="cpu")
    given = parser.parse_args()
    for row in rows(given.runs, given.only, given.device):
        print(row)
