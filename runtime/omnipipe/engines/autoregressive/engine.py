"""`engine.Engine` for an `AutoregressiveProgram`: what happens in a step, and in which order.

New requests begin, stream input is fed, the scheduler says what to compute, the model computes it, the sampler chooses,
the programs hear of it. An exception in the model ends the requests of that step; out of memory makes the step smaller;
what is wrong with one request ends that one. Must not know what a program does with tokens.
"""

import logging
import math
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, assert_never

import torch
from transformers import PreTrainedModel

from omnipipe.engines.autoregressive.architecture import Architecture, examine
from omnipipe.engines.autoregressive.blocks import BlockPool
from omnipipe.engines.autoregressive.cuda.choice import quick_for
from omnipipe.engines.autoregressive.draft import Draft, check_vocabulary
from omnipipe.engines.autoregressive.exchange import Exchange
from omnipipe.engines.autoregressive.forcing import Forcing
from omnipipe.engines.autoregressive.fusion import Fusion
from omnipipe.engines.autoregressive.grammar import Grammars
from omnipipe.engines.autoregressive.kv import KvMemory
from omnipipe.engines.autoregressive.linears import pack_linears
from omnipipe.engines.autoregressive.live import Live
from omnipipe.engines.autoregressive.masks import Masks
from omnipipe.engines.autoregressive.metrics import AutoregressiveMetrics
from omnipipe.engines.autoregressive.program import AutoregressiveProgram
from omnipipe.engines.autoregressive.runner import Runner
from omnipipe.engines.autoregressive.scheduler import Scheduler, Slice
from omnipipe.engines.autoregressive.scoring import rows_at_once
from omnipipe.engines.autoregressive.settling import Settling
from omnipipe.engines.autoregressive.sizing import kv_blocks
from omnipipe.engines.autoregressive.speculation import Speculation
from omnipipe.engines.engine import Begin, Drop, Emission, EngineLoad, Failure, Feed, Pause, Result, Resume, Work
from omnipipe.engines.kernels.native import NativeKernels
from omnipipe.engines.program import Job
from omnipipe.errors import ErrorKind, RequestError
from omnipipe.spec.plan import EnginePlan

if TYPE_CHECKING:
    from omnipipe.engines.autoregressive.cuda.quick import Quick

__all__ = ["AutoregressiveEngine"]

_log = logging.getLogger(__name__)

_BEGIN_AT_ONCE = 16
"""Requests that begin in one step: programs tokenize in there, and the others wait meanwhile."""

_Part = Sequence[tuple[Slice, Live]]


class AutoregressiveEngine:
    """Loads the program's model when it is made. `stage` is for logs and for what a client is told. With a `kernel` the
    model is made quicker on a CPU, where it can be: its layers are replaced, too."""

    def __init__(
        self,
        program: AutoregressiveProgram,
        options: EnginePlan,
        clock: Callable[[], float] = time.monotonic,
        *,
        stage: str = "autoregressive",
        metrics: AutoregressiveMetrics | None = None,
        kernel: NativeKernels | None = None,
        draft: Draft | None = None,
    ) -> None:
        self._stage = stage
        self._clock = clock
        self._metrics = metrics
        model = program.load(options.dtype)
        architecture = examine(model)
        drafting = None if draft is None else self._examine_draft(draft, model, architecture, program)
        size = options.block_tokens
        blocks = kv_blocks(options, architecture, model.dtype, model.device, drafting)
        context = min(architecture.context, options.max_context or architecture.context)
        if blocks * size < context:
            context = blocks * size
            _log.warning("stage %s: the KV cache holds %d positions, so a request has no more", stage, context)
        self._runner = _runner(model, architecture, blocks, context, options, kernel, stage, program.hidden_layers)
        self.pool = BlockPool(blocks, reuse=options.prefix_cache)
        rows = rows_at_once(architecture.vocab_size)
        self.scheduler = Scheduler(
            self.pool, block_tokens=size, max_batch=options.max_batch, step_tokens=options.step_tokens, score_rows=rows
        )
        self.speculation: Speculation | None = None
        if draft is not None and drafting is not None:
            self.speculation = Speculation(
                _runner(draft.model, drafting, blocks, context, options, kernel, stage),
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
            program, self.scheduler, self._grammars, context=context, architecture=architecture, stage=stage
        )
        self.forcing = Forcing(self.scheduler, rows)
        masks = Masks(self._grammars.tokens)
        self._settling = Settling(self._exchange, self.scheduler, self.speculation, metrics, masks)
        self._told_first = False
        """The last step computed nothing: see `_tells_first`."""
        self._steps = 0
        self._last_batch = 0

    @property
    def quick(self) -> "Quick | None":
        """What computes steps on a GPU; None elsewhere."""
        return self._runner.quick

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
            if self._tells_first():
                return results
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

    def _tells_first(self) -> bool:
        """Whether what requests had to say as they began leaves ahead of the computing: the stages that hear it compute
        meanwhile. Of two steps one computes, whatever begins."""
        results = self._exchange.results
        self._told_first = not self._told_first and any(isinstance(result, Emission) for result in results)
        return self._told_first

    @staticmethod
    def _examine_draft(
        draft: Draft,
        model: PreTrainedModel,
        architecture: Architecture,
        program: AutoregressiveProgram,
    ) -> Architecture:
        drafting = examine(draft.model)
        check_vocabulary(draft, drafting.vocab_size, model, program.tokenizer, architecture.vocab_size)
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
        self.forcing.guess(part)
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
            self._settling.settle(part, output)
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


def _runner(
    model: PreTrainedModel,
    architecture: Architecture,
    blocks: int,
    context: int,
    options: EnginePlan,
    kernel: NativeKernels | None,
    stage: str,
    hidden_layers: Sequence[int] = (),
) -> Runner:
    """With what makes the model quicker here."""
    size = options.block_tokens
    memory = KvMemory(architecture, blocks, size, model.dtype, model.device)
    shapes = {(shape.key_dim, shape.value_dim) for shape in architecture.layers}
    fusion = None
    if kernel is not None:
        if not architecture.sinks and kernel.fits(model.dtype, model.device, size, shapes):
            kernel.start()
            memory.native = kernel
        if memory.native is not None and options.fused_layers:
            fusion = Fusion(model, architecture, kernel, size, stage)
        else:
            pack_linears(model)
    quick = quick_for(options, memory, context, stage)
    return Runner(model, architecture, memory, hidden_layers, fusion, quick)


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
