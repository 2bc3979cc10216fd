"""What the benchmarks of the autoregressive engine have in common: a random model, a program that makes text of its
tokens, and a driver that runs a load through an engine from end to end."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from transformers import (
    AutoModelForCausalLM,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    Qwen3Config,
    Qwen3MoeConfig,
)

from omnipipe.engines.autoregressive.draft import Draft
from omnipipe.engines.autoregressive.engine import AutoregressiveEngine
from omnipipe.engines.autoregressive.program import End, Generation, Grammar, Progress, Prompt, Sampling, Turn
from omnipipe.engines.autoregressive.text import TextStream
from omnipipe.engines.engine import Begin, Emission, Failure, Finished
from omnipipe.engines.kernels.native import NativeKernels
from omnipipe.engines.program import Emit, Job
from omnipipe.spec.plan import EngineKind, EnginePlan

__all__ = ["GREEDY", "VOCABULARY", "Load", "Served", "random_mixture", "random_model"]

VOCABULARY = 32_000
GREEDY = Sampling(temperature=0.0)
_BUILD_S = 300.0
_CONFIG: dict[str, Any] = {
    "hidden_size": 512,
    "intermediate_size": 1536,
    "num_hidden_layers": 8,
    "num_attention_heads": 8,
    "num_key_value_heads": 4,
    "head_dim": 64,
    "vocab_size": VOCABULARY,
    "max_position_embeddings": 4096,
    "tie_word_embeddings": True,
    "eos_token_id": None,
    "pad_token_id": 0,
    "bos_token_id": 1,
}


@dataclass(frozen=True)
class Load:
    name: str
    prompts: Sequence[list[int]]
    new: Sequence[int]
    arrive_each_s: float = 0.0
    sampling: Sampling = GREEDY
    grammar: Grammar | None = None


class _Program:
    """Its text is made like a real one's: each token a word, looked at for a stop string."""

    hidden_layers = ()

    def __init__(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase | None) -> None:
        self.tokenizer = tokenizer
        self._model = model

    def load(self, dtype: Literal["auto", "float32", "bfloat16", "float16"]) -> PreTrainedModel:
        return self._model

    def begin(self, job: Job, context: int) -> Generation:
        prompt, new, load = job.inputs["request"]
        job.state = TextStream(lambda ids: "".join(f" {token}" for token in ids), ["<never>"])
        return Generation([Prompt(prompt)], max_tokens=new, sampling=load.sampling, grammar=load.grammar)

    def advance(self, job: Job, progress: Progress) -> Turn:
        assert isinstance(job.state, TextStream)
        return Turn([Emit("text", job.state.push(progress.tokens))])

    def feed(self, job: Job) -> Turn:
        return Turn()

    def finish(self, job: Job, end: End) -> list[Emit]:
        return [Emit("text", "", last=True, meta={"tokens": end.completion_tokens, "cached": end.cached_tokens})]


class Served:
    """An engine, how much of its time is the model's forward, and what it gave in the last run."""

    def __init__(
        self,
        model: PreTrainedModel,
        *,
        tokenizer: PreTrainedTokenizerBase | None = None,
        draft: Draft | None = None,
        **options: Any,
    ) -> None:
        defaults: Mapping[str, Any] = {"max_batch": 32, "kv_bytes": 1 << 30, "prefix_cache": False}
        plan = EnginePlan(kind=EngineKind.AUTOREGRESSIVE, **{**defaults, **options})
        program: Any = _Program(model, tokenizer)
        kernel = NativeKernels()
        self.engine = AutoregressiveEngine(program, plan, kernel=kernel, draft=draft)
        kernel.wait(_BUILD_S)
        self.forward_s = 0.0
        self.tokens = 0
        self.cached = 0
        self.first_s = 0.0
        """Until the first emission."""
        runner: Any = self.engine._runner
        forward: Callable[..., object] = runner.forward

        def timed(*arguments: object, **options: object) -> object:
            started = time.perf_counter()
            try:
                return forward(*arguments, **options)
            finally:
                self.forward_s += time.perf_counter() - started

        runner.forward = timed

    def run(self, load: Load) -> float:
        """Seconds. Raises AssertionError when a request got another number of tokens than it was to get."""
        started = time.perf_counter()
        waiting = list(enumerate(zip(load.prompts, load.new, strict=True)))
        left = len(waiting)
        self.tokens = self.cached = 0
        self.first_s = 0.0
        while left:
            now = time.perf_counter()
            while waiting and now - started >= waiting[0][0] * load.arrive_each_s:
                number, (prompt, new) = waiting.pop(0)
                request = {"request": (prompt, new, load)}
                self.engine.offer(Begin(str(number), request, frozenset(), frozenset({"text"}), {}, now + 600))
            if self.engine.next_step(now) == 0.0:
                for result in self.engine.step(now):
                    if isinstance(result, Failure):
                        raise result.error
                    left -= isinstance(result, Finished)
                    if isinstance(result, Emission):
                        self.first_s = self.first_s or time.perf_counter() - started
                        self.tokens += int((result.meta or {}).get("tokens", 0))
                        self.cached += int((result.meta or {}).get("cached", 0))
        taken = time.perf_counter() - started
        assert self.tokens == sum(load.new), f"{self.tokens} tokens, not {sum(load.new)}"
        return taken


def random_model(**config: Any) -> PreTrainedModel:
    """41.6 M parameters, where `config` does not say otherwise."""
    return _random(Qwen3Config(**{**_CONFIG, **config}))


def random_mixture() -> PreTrainedModel:
    """As many parameters for each token as `random_model`, out of 174 M: 4 of 32 experts of a quarter of its MLP."""
    routed: dict[str, Any] = {
        "num_experts": 32,
        "num_experts_per_tok": 4,
        "moe_intermediate_size": 384,
        "mlp_only_layers": [],
    }
    return _random(Qwen3MoeConfig(**_CONFIG, **routed))


def _random(made: PreTrainedConfig) -> PreTrainedModel:
    torch.manual_seed(0)
    make: Any = AutoModelForCausalLM
    model = make.from_config(made, dtype=torch.float32, attn_implementation="sdpa").eval()
    assert isinstance(model, PreTrainedModel)
    return model
