"""Guesses the next tokens of requests with a draft model, for the model to check several in one step.

    step: slices ──► guess (the draft, token by token) ──► the model on slices and guesses ──► settle

A guess is drawn with the very numbers that the model's own choice will be drawn with, and holds when that choice turns
out the same: whatever is answered is what the model alone would have answered, greedy or by a seed, and guessing may
come and go from step to step. The draft's KV lies under the same block numbers as the model's; positions that did not
hold are written over. Must not choose a token that a client sees.
"""

import logging
import time
from collections.abc import Callable, Sequence
from typing import Final

from omnipipe.engines.autoregressive.architecture import Architecture
from omnipipe.engines.autoregressive.draft import fitted
from omnipipe.engines.autoregressive.live import Live
from omnipipe.engines.autoregressive.metrics import AutoregressiveMetrics
from omnipipe.engines.autoregressive.pace import Pace
from omnipipe.engines.autoregressive.program import Hidden
from omnipipe.engines.autoregressive.runner import Runner
from omnipipe.engines.autoregressive.sampler import Chooser, sample
from omnipipe.engines.autoregressive.scheduler import Scheduler, Slice
from omnipipe.engines.autoregressive.sequence import Sequence as Generated

__all__ = ["Speculation", "guessable"]

_log = logging.getLogger(__name__)

_UNLUCKY: Final = 0.2
"""A request of whose guesses fewer hold has none for `_REST` tokens: its share of a step goes to others."""
_REST: Final = 64
_FADE: Final = 0.9
_PAUSE: Final = 16
"""Steps without guesses after the draft has failed; twice as many each time that it fails again at once."""
_LONGEST_PAUSE: Final = 1 << 14

_Part = Sequence[tuple[Slice, Live]]


class Speculation:
    """`tokens`: guessed at once, at most. `columns`: of the model's logits."""

    def __init__(
        self,
        runner: Runner,
        draft: Architecture,
        scheduler: Scheduler,
        *,
        tokens: int,
        columns: int,
        block_tokens: int,
        stage: str,
        metrics: AutoregressiveMetrics | None = None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.runner = runner
        self.drafted = 0
        """Guesses made, and those that held."""
        self.accepted = 0
        self.pace = Pace()
        self._draft = draft
        self._scheduler = scheduler
        self._tokens = tokens
        self._columns = columns
        self._block_tokens = block_tokens
        self._stage = stage
        self._metrics = metrics
        self._clock = clock
        self._content: dict[int, bytes] = {}
        """Block -> the digest of that content of which the draft's KV is in it, too."""
        self._before: dict[Generated, int] = {}
        """Of those guessed at in this step: as far as their blocks have been named."""
        self._started = 0.0
        self._catches_up = False
        self._failures = 0
        self._pause = 0

    def guess(self, part: _Part) -> None:
        """Puts guesses behind the slices where they may pay."""
        self._started = self._clock()
        self._before = {}
        self._catches_up = False
        if self._pause > 0:
            self._pause -= 1
            return
        if not self.pace.allows(len(part)):
            return
        open_ = [(piece, live) for piece, live in part if self._may_guess(piece, live)]
        if not open_:
            return
        try:
            self._guess(open_)
        except Exception as error:  # the boundary to the draft model: without it all is as it would be
            self._give_up(open_, error)
        else:
            self._failures = 0

    def settle(self, piece: Slice, live: Live, held: int) -> None:
        """The model has checked the guesses behind this slice, and `held` of them held."""
        sequence = piece.sequence
        before = self._before.pop(sequence, None)
        if before is None:
            return
        sequence.drafted = min(sequence.drafted, sequence.computed)
        self._name(sequence, before)
        if piece.guesses:
            self.drafted += len(piece.guesses)
            self.accepted += held
            live.luck = live.luck * _FADE + held / len(piece.guesses) * (1 - _FADE)
            if live.luck < _UNLUCKY:
                live.luck, live.rest = 1.5 * _UNLUCKY, _REST  # then a few steps to show otherwise

    def end(self, part: _Part, tokens: int) -> None:
        """The step is done, and gave so many tokens."""
        for _, live in part:
            live.ahead = []
        if self._metrics is not None:
            self._metrics.drafted.value = self.drafted
            self._metrics.accepted.value = self.accepted
        if any(piece.guesses and live.match is not None for piece, live in part):
            return  # a grammar's guesses, which say nothing of the draft's
        if self._catches_up or self._pause or any(piece.size > 1 or not piece.samples for piece, _ in part):
            return
        guessed = any(piece.guesses for piece, _ in part)
        said = self.pace.took(len(part), tokens, self._clock() - self._started, guessed=guessed)
        if said is not None:
            _log.info("stage %s: %s; of %d guesses %d held", self._stage, said, self.drafted, self.accepted)

    # Guessing

    def _may_guess(self, piece: Slice, live: Live) -> bool:
        if live.match is not None or not guessable(piece, live, self._draft.context):
            return False
        if live.rest > 0:
            live.rest -= 1
            return False
        return True

    def _guess(self, part: _Part) -> None:
        budget = self._scheduler.step_tokens
        slices: list[Slice] = []
        going: list[tuple[Slice, Live, int]] = []
        for piece, live in part:
            sequence = piece.sequence
            self._find(sequence)
            self._before[sequence] = sequence.drafted
            size = min(budget, len(sequence.tokens) - sequence.drafted)
            if size == 0 or max(sequence.tokens[sequence.drafted :]) >= self._draft.vocab_size:
                continue
            budget -= size
            self._catches_up |= size > self._tokens + 1
            end = sequence.drafted + size
            slices.append(Slice(sequence, sequence.drafted, size, samples=end == len(sequence.tokens)))
            if slices[-1].samples:
                most = min(sequence.limit, self._draft.context) - end - 1
                count = self._scheduler.widen(piece, min(self._tokens, most))
                if count > 0:
                    going.append((piece, live, count))
                else:
                    slices[-1].samples = False
        while slices:
            choosers = [live.ahead[-1] if live.ahead else live.chooser for _, live, _ in going]
            tokens = self._run(slices, choosers)
            going = [one for one, token in zip(going, tokens, strict=True) if self._take(*one, token)]
            slices = [
                Slice(p.sequence, p.start + len(p.guesses), 0, samples=True, guesses=p.guesses[-1:])
                for p, _, _ in going
            ]

    def _run(self, slices: list[Slice], choosers: list[Chooser]) -> list[int]:
        for piece in slices:
            self._forget(piece)
        output = self.runner.forward(slices)
        for piece in slices:
            piece.sequence.drafted = piece.start + piece.rows
            self._name(piece.sequence, piece.start)
        if not choosers:
            return []
        return sample(fitted(output.logits, self._columns), choosers, logprobs=False).tokens

    @staticmethod
    def _take(piece: Slice, live: Live, count: int, token: int) -> bool:
        """Whether to guess on behind this guess."""
        if token < 0 or token in live.generation.stop_tokens:
            return False  # what ends it needs no guess: it is the model's own next choice
        previous = live.ahead[-1] if live.ahead else live.chooser
        live.ahead.append(previous.after(token, live.generation.min_tokens))
        piece.guesses.append(token)
        return len(piece.guesses) < count

    def _give_up(self, part: _Part, error: Exception) -> None:
        for piece, live in part:
            piece.guesses.clear()
            live.ahead.clear()
            self._forget(Slice(piece.sequence, 0, len(piece.sequence.tokens), samples=False))
            piece.sequence.drafted = 0
        self._before = {}
        self._pause = min(_PAUSE << self._failures, _LONGEST_PAUSE)
        self._failures += 1
        _log.error(
            "stage %s: the draft model failed; no guesses for %d steps", self._stage, self._pause, exc_info=error
        )
        if self._metrics is not None:
            self._metrics.draft_failures.inc()

    # The draft's KV

    def _find(self, sequence: Generated) -> None:
        """Takes over what the draft has computed of the same content, for others."""
        size = self._block_tokens
        while sequence.drafted % size == 0 and sequence.drafted + size <= sequence.computed:
            index = sequence.drafted // size
            digest = sequence.digest(index, size)
            if digest is None or self._content.get(sequence.blocks[index]) != digest:
                return
            sequence.drafted += size

    def _forget(self, piece: Slice) -> None:
        """It is about to be written over."""
        size = self._block_tokens
        end = piece.start + piece.rows
        for block in piece.sequence.blocks[piece.start // size : -(-end // size)]:
            self._content.pop(block, None)

    def _name(self, sequence: Generated, start: int) -> None:
        """Notes the content of blocks that have been filled from `start` on."""
        size = self._block_tokens
        end = min(sequence.drafted, sequence.computed)
        for index in range(start // size, end // size):
            digest = sequence.digest(index, size)
            if digest is not None:
                self._content[sequence.blocks[index]] = digest


def guessable(piece: Slice, live: Live, context: int) -> bool:
    """Whether tokens may be guessed behind this slice: it gives one token, and nothing is told of it or comes in that
    the next one depends on. `context`: positions that there are at most."""
    sequence = piece.sequence
    return (
        piece.size == 1
        and piece.samples
        and live.generation.hidden is Hidden.NONE
        and not live.job.streams
        and not sequence.spans
        and sequence.rope is None
        and len(sequence.tokens) + 1 < min(sequence.limit, context)
    )
