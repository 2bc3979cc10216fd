"""What goes back and forth between the engine and the program, request by request.

Everything here may raise in the program's code; that ends the one request and nothing else. Must not compute with the
model, nor decide what is computed next.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from functools import partial

import torch

from omnipipe.engines.autoregressive import sequence as sequences
from omnipipe.engines.autoregressive.architecture import Architecture
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
    StepProgram,
    TokenLogprobs,
    Turn,
)
from omnipipe.engines.autoregressive.sampler import Chooser
from omnipipe.engines.autoregressive.scheduler import Scheduler, Slice
from omnipipe.engines.engine import Consumed, Emission, Failure, Finished, Result
from omnipipe.engines.program import Emit, attempt
from omnipipe.engines.timers import Timers
from omnipipe.errors import ErrorKind, RequestError

__all__ = ["Exchange", "Taken"]

_log = logging.getLogger(__name__)

Taken = tuple[Live, int, TokenLogprobs | None, Mapping[int, torch.Tensor]]
"""A request, the token that was chosen for it, and the hidden states that it was chosen from."""


class Exchange:
    """Owns the requests. `results` collects what a step is to report."""

    def __init__(
        self,
        program: AutoregressiveProgram,
        scheduler: Scheduler,
        grammars: Grammars,
        *,
        context: int,
        architecture: Architecture,
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
        self._together = program if isinstance(program, StepProgram) else None
        self._architecture = architecture
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
        sequence = attempt(self._begun, live)
        if isinstance(sequence, Exception):
            self.fail(live, sequence)
            return
        if sequence is None:
            return
        self._consumed(live)
        live.begin(sequence)
        self._scheduler.add(sequence)
        self._emit(live, live.generation.emits)

    def _begun(self, live: Live) -> sequences.Sequence | None:
        """None: there is its answer already, or not enough to begin with."""
        job = live.job
        generation = self._program.begin(job, self._context)
        if generation is None:
            return None  # it comes back when it is fed
        if not isinstance(generation, Generation):
            self._emit(live, generation)
            self.forget(job.rid)
            self.results.append(Finished(job.rid))
            return None
        live.generation = generation
        self._check(live, generation.prompt)
        sequence = make_sequence(job.rid, generation, self._context)
        banned = generation.stop_tokens if generation.min_tokens > 0 else frozenset()
        told = [token for part in generation.prompt if part.embeds is None for token in part.tokens]
        told += generation.told
        live.chooser = Chooser(generation.sampling, told, banned)
        if generation.grammar is not None:
            live.match = self._grammars.match(generation.grammar)
        return sequence

    def feed(self, live: Live) -> None:
        """Stream input has come."""
        turn = attempt(self._feed, live)
        if isinstance(turn, Exception):
            self.fail(live, turn)
        elif turn.finish is not None:
            self._end(live, turn.finish, None)

    def _feed(self, live: Live) -> Turn:
        turn = self._program.feed(live.job)
        self._consumed(live)
        self._apply(live, turn)
        return turn

    def took(self, taken: Sequence[Taken]) -> None:
        """Tokens were chosen, for each request one."""
        going: list[tuple[Live, Progress]] = []
        for one in taken:
            progress = attempt(self._took, *one)
            if isinstance(progress, Exception):
                self.fail(one[0], progress)
            elif progress is not None:
                going.append((one[0], progress))
        if self._together is not None:
            going = self._tell_together(self._together, going)
        for live, progress in going:
            self._attempt(live, partial(self._advance, live, progress))

    def hand_prompt(self, live: Live, piece: Slice, states: Mapping[int, torch.Tensor]) -> None:
        """Hidden states of a slice of the prompt; the row of a slice that samples goes with its token."""
        first = max(piece.start, live.handed)
        last = piece.start + piece.size - piece.samples
        if live.generation.hidden not in (Hidden.ALL, Hidden.PROMPT) or first >= last:
            return
        live.handed = last
        rows = slice(first - piece.start, last - piece.start)
        self._attempt(
            live, lambda: self._hand(live, Progress((), hidden={k: s[rows].clone() for k, s in states.items()}))
        )

    def hand_scores(self, live: Live, found: Sequence[TokenLogprobs]) -> None:
        """How likely the next tokens of the prompt were."""
        self._attempt(live, lambda: self._hand(live, Progress((), prompt_logprobs=found)))

    def _hand(self, live: Live, progress: Progress) -> None:
        """Something of the prompt. A request that is held stays so."""
        held = live.sequence.held
        self._apply(live, self._program.advance(live.job, progress))
        live.sequence.held |= held

    def _attempt(self, live: Live, work: Callable[[], None]) -> bool:
        """Whether it went well: what it raises has ended this request."""
        error = attempt(work)
        if error is not None:
            self.fail(live, error)
        return error is None

    def end_at_once(self, live: Live) -> None:
        """Its prompt has been computed, and that was all."""
        self._end(live, Finish.LENGTH, None)

    def _took(
        self, live: Live, token: int, logprobs: TokenLogprobs | None, hidden: Mapping[int, torch.Tensor]
    ) -> Progress | None:
        """What to tell the program; None: that was all."""
        sequence, generation, chooser = live.sequence, live.generation, live.chooser
        chooser.chose(token)
        chooser.lift(generation.min_tokens)
        if token in generation.stop_tokens:
            self._end(live, Finish.STOP, token, logprobs, hidden)
            return None
        if live.match is not None:
            live.match.take(token)
        sequence.append(token)
        live.handed = len(sequence.tokens) - 1
        return Progress((token,), () if logprobs is None else (logprobs,), hidden)

    def _tell_together(self, program: StepProgram, going: list[tuple[Live, Progress]]) -> list[tuple[Live, Progress]]:
        """Those that it worked for."""
        if not going:
            return going
        error = attempt(program.tokens, [(live.job, progress) for live, progress in going])
        if error is None:
            return going
        if len(going) > 1:  # whose fault it is will show one by one
            return [one for pair in going for one in self._tell_together(program, [pair])]
        self.fail(going[0][0], error)
        return []

    def _advance(self, live: Live, progress: Progress) -> None:
        sequence = live.sequence
        turn = self._program.advance(live.job, progress)
        self._apply(live, turn)
        if turn.finish is not None:
            self._end(live, turn.finish, None)
        elif live.match is not None and live.match.complete():
            self._end(live, Finish.STOP, None)
        elif len(sequence.tokens) >= sequence.limit:
            self._end(live, Finish.LENGTH, None)

    def _end(
        self,
        live: Live,
        reason: str,
        stop_token: int | None,
        stop_logprobs: TokenLogprobs | None = None,
        hidden: Mapping[int, torch.Tensor] | None = None,
    ) -> None:
        sequence = live.sequence
        end = End(
            str(reason),  # plain text, as programs send it on: an enum's member cannot travel
            prompt_tokens=sequence.prompt_size,
            completion_tokens=live.chooser.generated,
            cached_tokens=min(sequence.cached, sequence.prompt_size),
            stop_token=stop_token,
            stop_logprobs=stop_logprobs,
            hidden=hidden or {},
        )
        if not self._attempt(live, lambda: self._emit(live, self._program.finish(live.job, end))):
            return
        self.forget(live.job.rid)
        self.results.append(Finished(live.job.rid))

    def _apply(self, live: Live, turn: Turn) -> None:
        sequence = live.sequence
        self._emit(live, turn.emits)
        if turn.embed is not None:
            self._check_shape("the embedding of a token", turn.embed, (self._architecture.hidden_size,))
            sequence.embed(len(sequence.tokens) - 1, 1, turn.embed[None], b"")
        if turn.append:
            self._check(live, turn.append)
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

    def _check(self, live: Live, parts: Sequence[Prompt]) -> None:
        """Indices out of range and wrong shapes would end a whole step; an accelerator does not even say whose they
        were."""
        size, generation = self._architecture.vocab_size, live.generation
        for part in parts:
            self._check_shapes(part)
            tokens = part.tokens
            if tokens and not (min(tokens) >= 0 and max(tokens) < size):
                raise RequestError(ErrorKind.INVALID, f"the prompt has token ids outside of 0 to {size - 1}")
        for name, used in (("logit_bias", generation.sampling.logit_bias), ("stop_token_ids", generation.stop_tokens)):
            if used and not (min(used) >= 0 and max(used) < size):
                raise RequestError(ErrorKind.INVALID, f"{name} has token ids outside of 0 to {size - 1}", param=name)

    def _check_shapes(self, part: Prompt) -> None:
        size = (len(part), self._architecture.hidden_size)
        if part.embeds is not None:
            self._check_shape("embeddings", part.embeds, size)
        for deep in part.deep:
            self._check_shape("deep features", deep, size)
        if part.positions is not None:
            if not self._architecture.mrope:
                raise TypeError("positions of three dimensions for a model without M-RoPE")
            self._check_shape("positions", part.positions, (3, len(part)))

    def _check_shape(self, what: str, tensor: torch.Tensor, shape: tuple[int, ...]) -> None:
        if tuple(tensor.shape) != shape:
            raise TypeError(f"{what} are of the shape {tuple(tensor.shape)}, not {shape}")
