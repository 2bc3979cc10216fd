"""`engine.Engine` for an `AutoregressiveProgram`: what happens in a step, and in which order.

New requests begin, stream input is fed, the scheduler says what to compute, the model computes it, the sampler chooses,
the programs hear of it. An exception in the model ends the requests of that step; out of memory makes the step smaller;
what is wrong with one request ends that one. Must not know what a program does with tokens.
"""

import logging
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import assert_never

import torch
from transformers import PreTrainedModel

from omnipipe.engines.autoregressive.architecture import Architecture, examine
from omnipipe.engines.autoregressive.blocks import BlockPool
from omnipipe.engines.autoregressive.draft import Draft, check_vocabulary
from omnipipe.engines.autoregressive.exchange import Exchange, Taken
from omnipipe.engines.autoregressive.grammar import Grammars
from omnipipe.engines.autoregressive.kv import KvMemory
from omnipipe.engines.autoregressive.linears import pack_linears
from omnipipe.engines.autoregressive.live import Live
from omnipipe.engines.autoregressive.metrics import AutoregressiveMetrics
from omnipipe.engines.autoregressive.native import NativeAttention
from omnipipe.engines.autoregressive.program import AutoregressiveProgram
from omnipipe.engines.autoregressive.runner import Output, Runner
from omnipipe.engines.autoregressive.sampler import Chooser, Sampled, sample
from omnipipe.engines.autoregressive.scheduler import Scheduler, Slice
from omnipipe.engines.autoregressive.sizing import kv_blocks
from omnipipe.engines.autoregressive.speculation import Speculation
from omnipipe.engines.engine import Begin, Drop, EngineLoad, Failure, Feed, Pause, Result, Resume, Work
from omnipipe.engines.program import Job
from omnipipe.errors import ErrorKind, RequestError
from omnipipe.spec.plan import EnginePlan

__all__ = ["AutoregressiveEngine"]

_log = logging.getLogger(__name__)

_BEGIN_AT_ONCE = 16
"""Requests that begin in one step: programs tokenize in there, and the others wait meanwhile."""

_Part = Sequence[tuple[Slice, Live]]


@dataclass(slots=True)
class _Due:
    """A request that gets a token in this step, or several."""

    piece: Slice
    live: Live
    row: int
    """Of the packed row: what its first token is chosen from."""
    index: int
    """Of that, among the rows that sample."""
    hidden: Mapping[int, torch.Tensor] = field(default_factory=dict)
    held: int = 0
    """Guesses that held."""


class AutoregressiveEngine:
    """Loads the program's model when it is made. `stage` is for logs and for what a client is told. With a `kernel` the
    model is made quicker on a CPU, where it can be: its linear layers are replaced, too."""

    def __init__(
        self,
        program: AutoregressiveProgram,
        options: EnginePlan,
        clock: Callable[[], float] = time.monotonic,
        *,
        stage: str = "autoregressive",
        metrics: AutoregressiveMetrics | None = None,
        kernel: NativeAttention | None = None,
        draft: Draft | None = None,
    ) -> None:
        self._stage = stage
        self._clock = clock
        self._metrics = metrics
        model = program.load(options.dtype)
        architecture = examine(model)
        if kernel is not None:
            pack_linears(model)
        drafting = None if draft is None else self._examine_draft(draft, model, architecture, program, kernel)
        size = options.block_tokens
        blocks = kv_blocks(options, architecture, model.dtype, model.device, drafting)
        context = min(architecture.context, options.max_context or architecture.context)
        if blocks * size < context:
            context = blocks * size
            _log.warning("stage %s: the KV cache holds %d positions, so a request has no more", stage, context)
        memory = _memory(architecture, blocks, size, model, kernel)
        self._runner = Runner(model, architecture, memory, program.hidden_layers)
        self.pool = BlockPool(blocks, reuse=options.prefix_cache)
        self.scheduler = Scheduler(
            self.pool, block_tokens=size, max_batch=options.max_batch, step_tokens=options.step_tokens
        )
        self.speculation: Speculation | None = None
        if draft is not None and drafting is not None:
            self.speculation = Speculation(
                Runner(draft.model, drafting, _memory(drafting, blocks, size, draft.model, kernel)),
                drafting,
                self.scheduler,
                tokens=draft.tokens,
                columns=architecture.vocab_size,
                block_tokens=size,
                stage=stage,
                metrics=metrics,
            )
        stops = getattr(model.generation_config, "eos_token_id", None)
        self._grammars = Grammars(
            program.tokenizer, architecture.vocab_size, [stops] if isinstance(stops, int) else stops or ()
        )
        self._exchange = Exchange(
            program,
            self.scheduler,
            self._grammars,
            context=context,
            architecture=architecture,
            stage=stage,
        )
        self._steps = 0
        self._last_batch = 0

    def close(self) -> None:
        """Ends the threads that compute grammars."""
        self._grammars.close()

    def offer(self, work: Work) -> None:
        exchange = self._exchange
        match work:
            case Begin():
                self._offer_begin(work)
            case Feed():
                live = exchange.live.get(work.rid)
                if live is not None:  # else: dropped, failed or finished in the meantime
                    live.job.chunks.setdefault(work.input, []).append(work.value)
                    if work.last:
                        live.job.ended.add(work.input)
                    (exchange.fed if live.begun else exchange.new)[work.rid] = live
            case Drop():
                exchange.forget(work.rid)
            case Pause() | Resume():
                live = exchange.live.get(work.rid)
                if live is not None:
                    live.pause(isinstance(work, Pause))
            case _:
                assert_never(work)

    def next_step(self, now: float) -> float | None:
        exchange = self._exchange
        if exchange.new or self.scheduler.ready() or any(live.feeds for live in exchange.fed.values()):
            return 0.0
        due = exchange.deadlines.next_due()
        return None if due is None or due == math.inf else max(0.0, due - now)

    def step(self, now: float) -> list[Result]:
        exchange = self._exchange
        results: list[Result] = []
        exchange.results = results
        for rid in exchange.deadlines.pop_due(now):
            exchange.forget(rid)
            results.append(Failure(rid, RequestError(ErrorKind.DEADLINE, "the request's deadline has passed")))
        self._last_batch = 0
        with torch.inference_mode():
            for live in list(exchange.new.values())[:_BEGIN_AT_ONCE]:
                exchange.begin(live)
            for live in [live for live in exchange.fed.values() if live.feeds]:
                exchange.feed(live)
            slices = self.scheduler.schedule()
            if slices:
                self._steps += 1
                self._last_batch = len(slices)
                self._compute(slices)
        self._report()
        return results

    def load(self) -> EngineLoad:
        exchange = self._exchange
        return EngineLoad(exchange.unstarted, len(exchange.live) - exchange.unstarted, self._steps, self._last_batch)

    @staticmethod
    def _examine_draft(
        draft: Draft,
        model: PreTrainedModel,
        architecture: Architecture,
        program: AutoregressiveProgram,
        kernel: NativeAttention | None,
    ) -> Architecture:
        drafting = examine(draft.model)
        check_vocabulary(draft, drafting.vocab_size, model, program.tokenizer, architecture.vocab_size)
        if kernel is not None:
            pack_linears(draft.model)
        return drafting

    def _offer_begin(self, work: Begin) -> None:
        if work.rid in self._exchange.live:
            _log.error(
                "stage %s: a second Begin for a running request is ignored", self._stage, extra={"rid": work.rid}
            )
            return
        job = Job(work.rid, work.inputs, work.params, work.ports, work.streams, work.deadline)
        job.chunks = {name: [] for name in work.streams}
        self._exchange.add(Live(job))

    # The model

    def _compute(self, slices: Sequence[Slice]) -> None:
        part = [(piece, self._exchange.live[piece.sequence.rid]) for piece in slices]
        for _, live in part:
            self._exchange.start(live)
        self._grammars.prepare([live.match for piece, live in part if piece.samples and live.match is not None])
        if self.speculation is not None:
            self.speculation.guess(part)
        if self._compute_part(part):
            self.scheduler.recover()

    def _compute_part(self, part: _Part) -> bool:
        """Halves what does not fit into memory. False: something did not."""
        hidden = any(live.shows for _, live in part)
        try:
            output = self._runner.forward([piece for piece, _ in part], hidden=hidden)
        except Exception as error:  # the boundary to the model: it ends the requests of this step
            failed = error
        else:
            self._settle(part, output)
            return True
        if _is_out_of_memory(failed) and any(piece.guesses for piece, _ in part):
            for piece, _ in part:
                piece.guesses.clear()
            self._compute_part(part)
            return False
        halves = _halves(part) if _is_out_of_memory(failed) else ()
        if halves:
            self._shrink()
        else:
            self._lose(part, failed)
        for half in halves:
            left = [(piece, live) for piece, live in half if live.job.rid in self._exchange.live]
            if left:
                self._compute_part(left)
        return False

    def _lose(self, part: _Part, error: Exception) -> None:
        if _is_out_of_memory(error):
            error = RequestError(ErrorKind.UNAVAILABLE, "the model ran out of memory; try again")
        for piece, live in part:
            self.pool.disown(piece.sequence.blocks)
            self._exchange.fail(live, error)

    def _shrink(self) -> None:
        self.scheduler.shrink()
        _log.warning(
            "stage %s: out of memory; steps have %d positions for now", self._stage, self.scheduler.step_tokens
        )
        if self._metrics is not None:
            self._metrics.shrunk.inc()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    def _settle(self, part: _Part, output: Output) -> None:
        """The model has computed these slices: samples, and tells the programs."""
        exchange = self._exchange
        due: list[_Due] = []
        choosers: list[Chooser] = []
        masks: list[tuple[int, torch.Tensor]] = []
        at = 0
        for piece, live in part:
            self.scheduler.computed(piece)
            rows = slice(at, at + piece.size)
            at += piece.rows
            if output.hidden:
                exchange.hand_prompt(live, piece, {layer: states[rows] for layer, states in output.hidden.items()})
            if piece.samples:
                if live.match is not None:
                    self._mask(live, len(choosers), masks)
                due.append(_Due(piece, live, rows.stop - 1, len(choosers)))
                choosers += [live.chooser, *live.ahead[: len(piece.guesses)]]
        if self._metrics is not None:
            self._metrics.positions.inc(at)
        if not due:
            return
        sampled = sample(output.logits, choosers, masks)
        if output.hidden:
            rows_of = [one.row for one in due]
            shown = {layer: states[rows_of] for layer, states in output.hidden.items()}
            for index, one in enumerate(due):
                if one.live.shows:
                    one.hidden = {layer: states[index : index + 1] for layer, states in shown.items()}
        tokens = self._choose(due, sampled)
        if self._metrics is not None:
            self._metrics.tokens.inc(tokens)
        if self.speculation is not None:
            self.speculation.end(part, tokens)

    def _choose(self, due: Sequence["_Due"], sampled: Sampled) -> int:
        """Hands over the tokens that were chosen: of all requests the first, then those behind guesses that held. How
        many."""
        tokens = 0
        going = list(due)
        while going:
            taken = [found for one in going if (found := self._taken(one, sampled)) is not None]
            self._exchange.took(taken)
            tokens += len(taken)
            going = [one for one in going if self._holds(one, sampled)]
        for one in due:
            if self.speculation is not None:
                self.speculation.settle(one.piece, one.live, one.held)
        return tokens

    def _taken(self, one: "_Due", sampled: Sampled) -> Taken | None:
        live, index = one.live, one.index + one.held
        if live.job.rid not in self._exchange.live:
            return None
        token = sampled.tokens[index]
        if token < 0:
            self.pool.disown(live.sequence.blocks)
            error = "the logits are not numbers, or the grammar allows no token"
            self._exchange.fail(live, FloatingPointError(error))
            return None
        return live, token, sampled.logprobs.get(index), one.hidden

    def _holds(self, one: "_Due", sampled: Sampled) -> bool:
        """Whether the position behind the token that was just taken has been computed with it, so that there is another
        token."""
        guesses, sequence = one.piece.guesses, one.piece.sequence
        if one.held == len(guesses) or sampled.tokens[one.index + one.held] != guesses[one.held]:
            return False
        one.held += 1
        if one.live.job.rid not in self._exchange.live or sequence.todo != 1 or sequence.spans:
            return False
        self.scheduler.computed(Slice(sequence, len(sequence.tokens) - 1, 1, samples=True))
        return True

    def _mask(self, live: Live, row: int, masks: list[tuple[int, torch.Tensor]]) -> None:
        assert live.match is not None
        try:
            masks.append((row, live.match.mask()))
        except Exception as error:  # the boundary to the grammar: it ends this request
            self._exchange.fail(live, error)

    def _report(self) -> None:
        metrics, scheduler = self._metrics, self.scheduler
        if metrics is None:
            return
        metrics.asked_tokens.value = scheduler.asked_tokens
        metrics.hit_tokens.value = scheduler.hit_tokens
        metrics.preemptions.value = scheduler.preemptions
        metrics.blocks.set(self.pool.count)
        metrics.blocks_held.set(self.pool.held)
        metrics.running.set(len(scheduler.running))
        metrics.waiting.set(len(scheduler.waiting))


def _memory(
    architecture: Architecture, blocks: int, block_tokens: int, model: PreTrainedModel, kernel: NativeAttention | None
) -> KvMemory:
    memory = KvMemory(architecture, blocks, block_tokens, model.dtype, model.device)
    shapes = {(shape.key_dim, shape.value_dim) for shape in architecture.layers}
    if kernel is not None and kernel.fits(model.dtype, model.device, block_tokens, shapes):
        kernel.start()
        memory.native = kernel
    return memory


def _halves(part: _Part) -> tuple[_Part, ...]:
    """Nothing when it is one position already."""
    if len(part) > 1:
        middle = len(part) // 2
        return part[:middle], part[middle:]
    piece, live = part[0]
    if piece.size == 1:
        return ()
    size = piece.size // 2
    first = Slice(piece.sequence, piece.start, size, samples=False)
    rest = Slice(piece.sequence, piece.start + size, piece.size - size, piece.samples)
    return [(first, live)], [(rest, live)]


def _is_out_of_memory(error: Exception) -> bool:
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or "can't allocate memory" in str(error)
