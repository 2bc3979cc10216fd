"""P5: tokens a second of the autoregressive engine, end to end, against transformers' own generate on the same model.

A random Qwen3 of 41.6 M parameters in f32; 64 tokens in and 64 out at batch 1, 8 and 32, and 32 ragged prompts (16-512
in, 16-112 out) that arrive over time. The engine is the one that serves: scheduler, sampler, paged KV and a program
that turns tokens into text. `generate` has the whole batch from the start, padded. Both in turns, in one process.
"""

import argparse
import random
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from bench.row import Row
from transformers import AutoModelForCausalLM, PreTrainedModel, Qwen3Config

from omnipipe.engines.autoregressive.engine import AutoregressiveEngine
from omnipipe.engines.autoregressive.native import NativeAttention
from omnipipe.engines.autoregressive.program import End, Generation, Progress, Prompt, Sampling, Turn
from omnipipe.engines.autoregressive.text import TextStream
from omnipipe.engines.engine import Begin, Finished
from omnipipe.engines.program import Emit, Job
from omnipipe.spec.plan import EngineKind, EnginePlan

__all__ = ["rows"]

_VOCABULARY = 32_000
_GOALS = {"b1": 1.6, "b8": 2.0, "b32": 1.8, "ragged 32": 3.7}
_OVERHEAD = 0.10
_BUILD_S = 300.0
_CONFIG: dict[str, Any] = {
    "hidden_size": 512,
    "intermediate_size": 1536,
    "num_hidden_layers": 8,
    "num_attention_heads": 8,
    "num_key_value_heads": 4,
    "head_dim": 64,
    "vocab_size": _VOCABULARY,
    "max_position_embeddings": 4096,
    "tie_word_embeddings": True,
    "eos_token_id": None,
    "pad_token_id": 0,
    "bos_token_id": 1,
}


@dataclass(frozen=True)
class _Load:
    name: str
    prompts: Sequence[list[int]]
    new: Sequence[int]
    arrive_each_s: float = 0.0
    """For the engine alone; generate has all of them at once."""


def _loads() -> list[_Load]:
    rng = random.Random(1)

    def prompt(size: int) -> list[int]:
        return [rng.randrange(2, _VOCABULARY) for _ in range(size)]

    even = [_Load(f"b{n}", [prompt(64) for _ in range(n)], [64] * n) for n in (1, 8, 32)]
    ragged = [prompt(rng.randint(16, 512)) for _ in range(32)]
    return [*even, _Load("ragged 32", ragged, [rng.randint(16, 112) for _ in range(32)], 0.02)]


class _Program:
    """Greedy; its text is made like a real one's: each token a word, looked at for a stop string."""

    tokenizer = None
    hidden_layers = ()

    def __init__(self, model: PreTrainedModel) -> None:
        self._model = model

    def load(self, dtype: Literal["auto", "float32", "bfloat16", "float16"]) -> PreTrainedModel:
        return self._model

    def begin(self, job: Job, context: int) -> Generation:
        prompt, new = job.inputs["request"]
        job.state = TextStream(lambda ids: "".join(f" {token}" for token in ids), ["<never>"])
        return Generation([Prompt(prompt)], max_tokens=new, sampling=Sampling(temperature=0.0))

    def advance(self, job: Job, progress: Progress) -> Turn:
        assert isinstance(job.state, TextStream)
        return Turn([Emit("text", job.state.push(progress.tokens))])

    def feed(self, job: Job) -> Turn:
        return Turn()

    def finish(self, job: Job, end: End) -> list[Emit]:
        return [Emit("text", "", last=True, meta={"finish_reason": end.reason})]


class _Ours:
    """The engine, and how much of its time is the model's forward."""

    def __init__(self, model: PreTrainedModel) -> None:
        plan = EnginePlan(kind=EngineKind.AUTOREGRESSIVE, max_batch=32, kv_bytes=1 << 30, prefix_cache=False)
        program: Any = _Program(model)
        kernel = NativeAttention()
        self.engine = AutoregressiveEngine(program, plan, kernel=kernel)
        kernel.wait(_BUILD_S)
        self.forward_s = 0.0
        runner: Any = self.engine._runner
        forward: Callable[..., object] = runner.forward

        def timed(*arguments: object, **options: object) -> object:
            started = time.perf_counter()
            try:
                return forward(*arguments, **options)
            finally:
                self.forward_s += time.perf_counter() - started

        runner.forward = timed

    def run(self, load: _Load) -> float:
        """Seconds."""
        started = time.perf_counter()
        waiting = list(enumerate(zip(load.prompts, load.new, strict=True)))
        left = len(waiting)
        while left:
            now = time.perf_counter()
            while waiting and now - started >= waiting[0][0] * load.arrive_each_s:
                number, request = waiting.pop(0)
                begin = Begin(str(number), {"request": request}, frozenset(), frozenset({"text"}), {}, now + 600)
                self.engine.offer(begin)
            if self.engine.next_step(now) == 0.0:
                left -= sum(isinstance(result, Finished) for result in self.engine.step(now))
        return time.perf_counter() - started


def _generate(model: PreTrainedModel, load: _Load) -> float:
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


def _model() -> PreTrainedModel:
    torch.manual_seed(0)
    make: Any = AutoModelForCausalLM
    model = make.from_config(Qwen3Config(**_CONFIG), dtype=torch.float32, attn_implementation="sdpa").eval()
    assert isinstance(model, PreTrainedModel)
    return model


def rows(runs: int = 5, only: Sequence[str] = ()) -> list[Row]:
    ours, theirs = _Ours(_model()), _model()
    found = []
    for load in _loads():
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
