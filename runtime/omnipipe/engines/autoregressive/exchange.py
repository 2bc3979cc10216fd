"""What goes back and forth between the engine and the program, request by request.

Everything here may raise in the program's code; that ends the one request and nothing else. Must not compute with the
model, nor decide what is computed next.
"""

import logging
from collections.abc import Mapping, Sequence

import torch

from omnipipe.engines.autoregressive.grammar import Grammars
from omnipipe.engines.autoregressive.live import Live, append, check_room, make_sequence
from omnipipe.engines.autoregressive.program import (
    AutoregressiveProgram,
    End,
    Finish,
    Generation,
    Hidden,
    Progress,
    Prompt,
    TokenLogprobs,
    Turn,
)
from omnipipe.engines.autoregressive.sampler import Chooser
from omnipipe.engines.autoregressive.scheduler import Scheduler, Slice
from omnipipe.engines.engine import Consumed, Emission, Failure, Finished, Result
from omnipipe.engines.program import Emit
from omnipipe.engines.timers import Timers
from omnipipe.errors import ErrorKind, RequestError

__all__ = ["Exchange"]

_log = logging.getLogger(__name__)


class Exchange:
    """Owns the requests. `results` collects what a step is to report."""

    def __init__(
        self,
        program: AutoregressiveProgram,
        scheduler: Scheduler,
        grammars: Grammars,
        *,
        context: int,
        vocab_size: int,
        stage: str,
    ) -> None:
        self.results: list[Result] = []
        self.live: dict[str, Live] = {}
        self.new: dict[str, Live] = {}
        """Not begun yet."""
        self.fed: dict[str, Live] = {}
        """With stream input that the program has not seen."""
        self.deadlines = Timers()
        self.unstarted = 0
        self._program = program
        self._scheduler = scheduler
        self._grammars = grammars
        self._context = context
        self._vocab_size = vocab_size
        self._stage = stage

    def add(self, live: Live) -> None:
        rid = live.job.rid
        self.live[rid] = self.new[rid] = live
        self.unstarted += 1
        self.deadlines.set(rid, live.job.deadline)

    def start(self, live: Live) -> None:
        """It has its first step."""
        if not live.started:
            live.started = True
            self.unstarted -= 1

    def forget(self, rid: str) -> None:
        live = self.live.pop(rid, None)
        if live is None:
            return
        self.new.pop(rid, None)
        self.fed.pop(rid, None)
        self.deadlines.discard(rid)
        if live.begun:
            self._scheduler.remove(live.sequence)
        self.start(live)

    def fail(self, live: Live, error: Exception) -> None:
        """The client sees a RequestError as it is; everything else is logged and hidden."""
        rid = live.job.rid
        self.forget(rid)
        if not isinstance(error, RequestError):
            _log.error("stage %s: a request failed", self._stage, exc_info=error, extra={"rid": rid})
            error = RequestError(ErrorKind.INTERNAL, f"stage '{self._stage}' failed")
        self.results.append(Failure(rid, error))

    def begin(self, live: Live) -> None:
        job = live.job
        del self.new[job.rid]
        try:
            generation = self._program.begin(job, self._context)
            if not isinstance(generation, Generation):
                self._emit(live, generation)
                self.forget(job.rid)
                self.results.append(Finished(job.rid))
                return
            live.generation = generation
            sequence = make_sequence(job.rid, generation, self._context)
            self._check_ids(live, generation.prompt)
            banned = generation.stop_tokens if generation.min_tokens > 0 else frozenset()
            live.chooser = Chooser(generation.sampling, sequence.tokens, banned)
            if generation.grammar is not None:
                live.match = self._grammars.match(generation.grammar)
        except Exception as error:  # the boundary to the program: what it raises ends this request
            self.fail(live, error)
            return
        self._consumed(live)
        live.begin(sequence)
        self._scheduler.add(sequence)

    def feed(self, live: Live) -> None:
        """Stream input has come."""
        try:
            turn = self._program.feed(live.job)
            self._consumed(live)
            self._apply(live, turn)
        except Exception as error:  # as above
            self.fail(live, error)
            return
        if turn.finish is not None:
            self._end(live, turn.finish, None)

    def took(self, live: Live, token: int, logprobs: TokenLogprobs | None, hidden: Mapping[int, torch.Tensor]) -> None:
        """A token was chosen. `hidden`: what it was chosen from."""
        try:
            self._took(live, token, logprobs, hidden)
        except Exception as error:  # as above
            self.fail(live, error)

    def hand_prompt(self, live: Live, piece: Slice, states: Mapping[int, torch.Tensor]) -> None:
        """Hidden states of a slice of the prompt; the row of a slice that samples goes with its token."""
        first = max(piece.start, live.handed)
        last = piece.start + piece.size - piece.samples
        if live.generation.hidden is not Hidden.ALL or first >= last:
            return
        live.handed = last
        rows = slice(first - piece.start, last - piece.start)
        held = live.sequence.held
        try:
            turn = self._program.advance(live.job, Progress((), hidden={k: s[rows].clone() for k, s in states.items()}))
            self._apply(live, turn)
            live.sequence.held |= held
        except Exception as error:  # as above
            self.fail(live, error)

    def _took(self, live: Live, token: int, logprobs: TokenLogprobs | None, hidden: Mapping[int, torch.Tensor]) -> None:
        sequence, generation, chooser = live.sequence, live.generation, live.chooser
        chooser.chose(token)
        if chooser.generated >= generation.min_tokens:
            chooser.banned = frozenset()
        if token in generation.stop_tokens:
            self._end(live, Finish.STOP, token)
            return
        if live.match is not None:
            live.match.take(token)
        sequence.append(token)
        live.handed = len(sequence.tokens) - 1
        turn = self._program.advance(live.job, Progress((token,), () if logprobs is None else (logprobs,), hidden))
        self._apply(live, turn)
        if turn.finish is not None:
            self._end(live, turn.finish, None)
        elif live.match is not None and live.match.complete():
            self._end(live, Finish.STOP, None)
        elif len(sequence.tokens) >= sequence.limit:
            self._end(live, Finish.LENGTH, None)

    def _end(self, live: Live, reason: str, stop_token: int | None) -> None:
        sequence = live.sequence
        end = End(
            reason,
            prompt_tokens=sequence.prompt_size,
            completion_tokens=live.chooser.generated,
            cached_tokens=min(sequence.cached, sequence.prompt_size),
            stop_token=stop_token,
        )
        try:
            self._emit(live, self._program.finish(live.job, end))
        except Exception as error:  # as above
            self.fail(live, error)
            return
        self.forget(live.job.rid)
        self.results.append(Finished(live.job.rid))

    def _apply(self, live: Live, turn: Turn) -> None:
        sequence = live.sequence
        self._emit(live, turn.emits)
        if turn.embed is not None:
            sequence.embed(len(sequence.tokens) - 1, 1, turn.embed[None], b"")
        if turn.append:
            self._check_ids(live, turn.append)
            for part in turn.append:
                append(sequence, part)
            check_room(len(sequence.tokens), self._context)
            if live.generation.max_tokens is not None:
                sequence.limit = min(self._context, sequence.prompt_size + live.generation.max_tokens)
        sequence.held = turn.hold

    def _emit(self, live: Live, emits: Sequence[Emit]) -> None:
        rid = live.job.rid
        self.results += [Emission(rid, emit.port, emit.value, emit.last, emit.meta) for emit in emits]

    def _consumed(self, live: Live) -> None:
        job = live.job
        self.results += [Consumed(job.rid, name, len(chunks)) for name, chunks in job.chunks.items() if chunks]
        job.chunks = {name: [] for name in job.streams}
        self.fed.pop(job.rid, None)

    def _check_ids(self, live: Live, parts: Sequence[Prompt]) -> None:
        """Indices out of range would end a whole step; an accelerator does not even say whose they were."""
        size, generation = self._vocab_size, live.generation
        for part in parts:
            tokens = part.tokens
            if tokens and not (min(tokens) >= 0 and max(tokens) < size):
                raise RequestError(ErrorKind.INVALID, f"the prompt has token ids outside of 0 to {size - 1}")
        for name, used in (("logit_bias", generation.sampling.logit_bias), ("stop_token_ids", generation.stop_tokens)):
            if used and not (min(used) >= 0 and max(used) < size):
                raise RequestError(ErrorKind.INVALID, f"{name} has token ids outside of 0 to {size - 1}", param=name)
