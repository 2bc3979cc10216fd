"""A program that answers in token ids, and a driver that takes an engine's steps and checks it after each."""

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Literal

import torch
from tests.integration.engines.autoregressive.models import config_of
from transformers import AutoModelForCausalLM, PreTrainedModel, PreTrainedTokenizerBase

from omnipipe.engines.autoregressive.draft import Draft
from omnipipe.engines.autoregressive.engine import AutoregressiveEngine
from omnipipe.engines.autoregressive.metrics import AutoregressiveMetrics
from omnipipe.engines.autoregressive.pace import Pace
from omnipipe.engines.autoregressive.program import End, Generation, Progress, Prompt, Sampling, TokenLogprobs, Turn
from omnipipe.engines.autoregressive.sequence import State
from omnipipe.engines.engine import Begin, Consumed, Drop, Emission, Failure, Finished, Pause, Result, Resume, Work
from omnipipe.engines.kernels.native import NativeKernels
from omnipipe.engines.program import Emit, Job, StageContext
from omnipipe.errors import RequestError
from omnipipe.spec.plan import EngineKind, EnginePlan

__all__ = ["GREEDY", "Always", "Answer", "Driver", "TokenProgram", "cousin_of", "engine_for", "model_of", "reference"]

GREEDY = Sampling(temperature=0.0)


def model_of(name: str, seed: int = 0) -> PreTrainedModel:
    torch.manual_seed(seed)
    attention = "eager" if name in ("gemma2", "gpt_oss") else "sdpa"
    make: Any = AutoModelForCausalLM  # its methods are not typed
    model = make.from_config(config_of(name), attn_implementation=attention).eval()
    assert isinstance(model, PreTrainedModel)
    return model


def reference(model: PreTrainedModel, prompt: Sequence[int], count: int) -> list[int]:
    """transformers' own greedy answer."""
    ids = torch.tensor([list(prompt)])
    with torch.no_grad():
        out = model.generate(  # type: ignore[operator]  # generate is a mixin's
            ids,
            attention_mask=torch.ones_like(ids),
            do_sample=False,
            max_new_tokens=count,
            min_new_tokens=count,
            pad_token_id=0,
        )
    answer: list[int] = out[0, len(prompt) :].tolist()
    return answer


def cousin_of(name: str, *, seed: int = 0, unlike: float = 0.02, tokens: int = 4) -> Draft:
    """A draft whose weights are nearly those of `model_of(name, seed)`: most of its guesses hold, and some do not."""
    model = model_of(name, seed)
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for weights in model.parameters():
            spread = weights.std() if weights.numel() > 1 else weights.abs().mean()
            weights.add_(torch.randn(weights.shape, generator=generator) * unlike * spread)
    return Draft(model, None, tokens)


class Always(Pace):
    """Whatever it takes: tests do not depend on the machine's speed."""

    def allows(self, batch: int) -> bool:
        return True


class TokenProgram:
    """The request's value is the Generation itself."""

    def __init__(
        self,
        model: PreTrainedModel,
        *,
        hidden_layers: tuple[int, ...] = (),
        tokenizer: PreTrainedTokenizerBase | None = None,
    ) -> None:
        self.context = StageContext("tokens", None, {})
        self.hidden_layers = hidden_layers
        self.tokenizer = tokenizer
        self._model = model
        self.on_advance: Callable[[Job, Progress], Turn] = lambda job, progress: Turn()
        self.on_feed: Callable[[Job], Turn] = lambda job: Turn()

    def load(self, dtype: Literal["auto", "float32", "bfloat16", "float16"]) -> PreTrainedModel:
        return self._model

    def begin(self, job: Job, context: int) -> Generation:
        generation = job.inputs["request"]
        if isinstance(generation, Exception):
            raise generation
        assert isinstance(generation, Generation)
        return generation

    def advance(self, job: Job, progress: Progress) -> Turn:
        turn = self.on_advance(job, progress)
        turn.emits = [*turn.emits, Emit("tokens", progress)]
        return turn

    def feed(self, job: Job) -> Turn:
        return self.on_feed(job)

    def finish(self, job: Job, end: End) -> Sequence[Emit]:
        return [Emit("tokens", None, last=True, meta={"end": end})]


class Answer:
    """What a request has got so far."""

    def __init__(self) -> None:
        self.tokens: list[int] = []
        self.logprobs: list[TokenLogprobs] = []
        self.prompt: list[TokenLogprobs] = []
        self.hidden: dict[int, list[torch.Tensor]] = {}
        self.end: End | None = None
        self.error: RequestError | None = None
        self.consumed = 0
        self.steps = 0

    @property
    def ended(self) -> bool:
        return self.end is not None or self.error is not None

    def states(self, layer: int) -> torch.Tensor:
        return torch.cat(self.hidden[layer])

    def take(self, progress: Progress) -> None:
        self.steps += 1
        self.tokens += progress.tokens
        self.logprobs += progress.logprobs
        if progress.prompt_logprobs:
            assert not self.tokens
            assert not progress.tokens
        self.prompt += progress.prompt_logprobs
        for layer, states in progress.hidden.items():
            self.hidden.setdefault(layer, []).append(states)


class Driver:
    """Offers work and takes steps, as a stage does; `now` stands still."""

    def __init__(self, engine: AutoregressiveEngine) -> None:
        self.engine = engine
        self.answers: dict[str, Answer] = {}
        self.dropped: set[str] = set()
        self.paused: set[str] = set()

    def offer(self, work: Work) -> None:
        self.engine.offer(work)

    def begin(
        self, rid: str, generation: Generation | Exception, streams: Sequence[str] = (), deadline: float = math.inf
    ) -> Answer:
        self.offer(Begin(rid, {"request": generation}, frozenset(streams), frozenset({"tokens"}), {}, deadline))
        answer = self.answers[rid] = Answer()
        return answer

    def ask(self, rid: str, prompt: Sequence[int], count: int = 16, **options: Any) -> Answer:
        sampling = options.pop("sampling", GREEDY)
        return self.begin(rid, Generation([Prompt(prompt)], max_tokens=count, sampling=sampling, **options))

    def drop(self, rid: str) -> None:
        self.dropped.add(rid)
        self.offer(Drop(rid))

    def pause(self, rid: str) -> None:
        self.paused.add(rid)
        self.offer(Pause(rid))

    def resume(self, rid: str) -> None:
        self.paused.discard(rid)
        self.offer(Resume(rid))

    def step(self) -> list[Result]:
        results = self.engine.step(time.monotonic())
        for result in results:
            answer = self.answers[result.rid]
            assert not answer.ended or isinstance(result, Finished)
            assert result.rid not in self.dropped
            match result:
                case Emission(value=None, last=True, meta=meta):
                    assert meta is not None
                    answer.end = meta["end"]
                case Emission(value=value):
                    assert result.rid not in self.paused
                    answer.take(value)
                case Failure(error=error):
                    answer.error = error
                case Consumed(count=count):
                    answer.consumed += count
                case Finished():
                    assert answer.end is not None
        self.check()
        return results

    def run(self, steps: int = 20_000) -> None:
        for _ in range(steps):
            if self.engine.next_step(time.monotonic()) != 0.0:
                return
            self.step()
        raise AssertionError("the engine never comes to rest")

    def check(self) -> None:
        scheduler = self.engine.scheduler
        self.engine.pool.check([sequence.blocks for sequence in scheduler.running])
        assert all(s.state is State.RUNNING for s in scheduler.running)
        assert all(s.state is State.WAITING and not s.blocks for s in scheduler.waiting)
        load = self.engine.load()
        open_requests = sum(not answer.ended for rid, answer in self.answers.items() if rid not in self.dropped)
        assert load.queued + load.running == open_requests

    def check_idle(self) -> None:
        """Nothing is left of any request."""
        assert self.engine.pool.held == 0
        assert self.engine.load().queued == self.engine.load().running == 0
        assert not self.engine.scheduler.running
        assert not self.engine.scheduler.waiting


@contextmanager
def engine_for(
    program: TokenProgram,
    kernel: NativeKernels | None = None,
    draft: Draft | None = None,
    metrics: AutoregressiveMetrics | None = None,
    **options: Any,
) -> Iterator[Driver]:
    defaults: Mapping[str, Any] = {"max_batch": 8, "step_tokens": 256, "kv_bytes": 1 << 20}
    plan = EnginePlan(kind=EngineKind.AUTOREGRESSIVE, **{**defaults, **options})
    engine = AutoregressiveEngine(program, plan, kernel=kernel, draft=draft, metrics=metrics)
    try:
        if engine.speculation is not None:
            engine.speculation.pace = Always()
        yield Driver(engine)
    finally:
        engine.close()
