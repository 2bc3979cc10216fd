"""P5: tokens a second with a draft model and without, in turns, in one process.

A random Qwen3 of 8 layers in f32, and a draft that is its embeddings and first layer: the further layers add so little
that the draft is mostly right, as a good draft of a trained model is. Greedy, and sampled at temperature 0.8. At batch
32 on a CPU checking guesses is no cheaper than making tokens, and guessing has to notice and stay away.
"""

import argparse
import random
import statistics
from collections.abc import Sequence
from typing import Any

import torch
from bench.engine_load import GREEDY, Load, Served, random_model
from bench.row import Row
from transformers import PreTrainedModel

from omnipipe.engines.autoregressive.draft import Draft
from omnipipe.engines.autoregressive.program import Sampling

__all__ = ["rows"]

_VOCABULARY = 8000
_GUESSES = 4
_UNLIKE = 0.03
"""What the further layers weigh, of what they were made with."""
_GOALS = {"b1": 1.5, "b1 sampled": 1.3, "b8": 1.0, "b32": 0.95}
_SURE = 8.0
"""Times what a random model's logits are: a trained one's are not as flat."""
_NEW = 128
_KV_BYTES = 256 << 20


def _pair() -> tuple[PreTrainedModel, PreTrainedModel]:
    target: Any = random_model(vocab_size=_VOCABULARY, initializer_range=0.05)
    draft: Any = random_model(vocab_size=_VOCABULARY, num_hidden_layers=1)
    with torch.no_grad():
        for layer in target.model.layers[1:]:
            layer.self_attn.o_proj.weight.mul_(_UNLIKE)
            layer.mlp.down_proj.weight.mul_(_UNLIKE)
        target.model.norm.weight.mul_(_SURE)
    known = target.state_dict()
    draft.load_state_dict({name: known[name] for name in draft.state_dict()})
    return target, draft


def _loads() -> list[Load]:
    rng = random.Random(2)

    def prompts(count: int) -> list[list[int]]:
        return [[rng.randrange(2, _VOCABULARY) for _ in range(64)] for _ in range(count)]

    warm = Sampling(temperature=0.8, seed=1)
    loads = [Load(f"b{n}", prompts(n), [_NEW] * n, sampling=GREEDY) for n in (1, 8, 32)]
    return [*loads, Load("b1 sampled", prompts(1), [_NEW], sampling=warm)]


def rows(runs: int = 5, only: Sequence[str] = ()) -> list[Row]:
    target, draft = _pair()
    plain = Served(target, kv_bytes=_KV_BYTES)
    guessing = Served(_pair()[0], draft=Draft(draft, None, _GUESSES), kv_bytes=_KV_BYTES)
    speculation = guessing.engine.speculation
    assert speculation is not None
    found = []
    for load in _loads():
        if only and load.name not in only:
            continue
        guessing.run(load)  # finds out whether it pays
        plain.run(load)
        made, held = speculation.drafted, speculation.accepted
        pairs = [(guessing.run(load), plain.run(load)) for _ in range(runs)]
        made, held = speculation.drafted - made, speculation.accepted - held
        tokens = sum(load.new)
        figure, baseline = (tokens / statistics.median(column) for column in zip(*pairs, strict=True))
        ratio = statistics.median(plain_s / guessing_s for guessing_s, plain_s in pairs)
        goal = _GOALS[load.name]
        share = f"{held / made:.0%} of {made} guesses held" if made else "no guesses"
        found.append(
            Row(
                "P5",
                f"draft model, {load.name}",
                f"{figure:,.0f} tok/s, {share}",
                f"{baseline:,.0f} tok/s without",
                ratio,
                f">= {goal}",
                ratio >= goal,
            )
        )
    plain.engine.close()
    guessing.engine.close()
    return found


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("only", nargs="*")
    parser.add_argument("--runs", type=int, default=3)
    given = parser.parse_args()
    for row in rows(given.runs, given.only):
        print(row)
