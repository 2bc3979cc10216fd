"""What becomes of a step that the model has computed: how likely prompts were, the next tokens, the guesses that held.

Everything here may find that one request is at fault; that one ends, the others go on. Must not decide what is
computed, nor run a model.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch

from omnipipe.engines.autoregressive.exchange import Exchange, Taken
from omnipipe.engines.autoregressive.grammar import Match
from omnipipe.engines.autoregressive.live import Live
from omnipipe.engines.autoregressive.masks import Masks
from omnipipe.engines.autoregressive.metrics import AutoregressiveMetrics
from omnipipe.engines.autoregressive.runner import Output
from omnipipe.engines.autoregressive.sampler import Chooser, Sampled, sample
from omnipipe.engines.autoregressive.scheduler import Scheduler, Slice
from omnipipe.engines.autoregressive.scoring import score
from omnipipe.engines.autoregressive.speculation import Speculation
from omnipipe.engines.program import attempt

__all__ = ["Settling"]

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


class Settling:
    def __init__(
        self,
        exchange: Exchange,
        scheduler: Scheduler,
        speculation: Speculation | None,
        metrics: AutoregressiveMetrics | None,
        masks: Masks,
    ) -> None:
        self._exchange = exchange
        self._masks = masks
        self._scheduler = scheduler
        self._speculation = speculation
        self._metrics = metrics

    def settle(self, part: _Part, output: Output) -> None:
        """The model has computed these slices: samples, and tells the programs."""
        exchange = self._exchange
        due: list[_Due] = []
        choosers: list[Chooser] = []
        self._masks.clear()
        at = 0
        for piece, live in part:
            self._scheduler.computed(piece)
            rows = slice(at, at + piece.size)
            at += piece.rows
            if output.hidden:
                exchange.hand_prompt(live, piece, {layer: states[rows] for layer, states in output.hidden.items()})
            if piece.samples:
                if live.match is not None:
                    self._mask(live, live.match, len(choosers), piece.guesses)
                due.append(_Due(piece, live, rows.stop - 1, len(choosers)))
                choosers += [live.chooser, *live.ahead[: len(piece.guesses)]]
        if self._metrics is not None:
            self._metrics.positions.inc(at)
        if output.scored is not None:
            self._score(part, output.scored)
        if not due:
            return
        sampled = sample(output.logits, choosers, self._masks)
        if output.hidden:
            rows_of = [one.row for one in due]
            shown = {layer: states[rows_of] for layer, states in output.hidden.items()}
            for index, one in enumerate(due):
                if one.live.shows:
                    one.hidden = {layer: states[index : index + 1] for layer, states in shown.items()}
        tokens = self._choose(due, sampled)
        if self._metrics is not None:
            self._metrics.tokens.inc(tokens)
        if self._speculation is not None:
            self._speculation.end(part, tokens)

    def _score(self, part: _Part, logits: torch.Tensor) -> None:
        """Of prompts whose tokens' log probabilities are asked for: those that these slices have computed."""
        at = 0
        for piece, live in part:
            asked = piece.scored
            rows = logits[at : at + len(asked)]
            at += len(asked)
            if not asked or live.job.rid not in self._exchange.live:
                continue
            tokens = piece.sequence.tokens[asked.start + 1 : asked.stop + 1]
            found = score(rows, tokens, live.generation.prompt_logprobs or 0)
            if found is None:
                self._scheduler.pool.disown(piece.sequence.blocks)
                self._exchange.fail(live, FloatingPointError("the logits of a prompt are not numbers"))
            else:
                piece.sequence.scored = asked.stop
                self._exchange.hand_scores(live, found)

    def _choose(self, due: Sequence[_Due], sampled: Sampled) -> int:
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
            if self._speculation is not None:
                self._speculation.settle(one.piece, one.live, one.held)
        return tokens

    def _taken(self, one: _Due, sampled: Sampled) -> Taken | None:
        live, index = one.live, one.index + one.held
        if live.job.rid not in self._exchange.live:
            return None
        if live.generation.max_tokens == 0:
            self._exchange.end_at_once(live)
            return None
        token = sampled.tokens[index]
        if token < 0:
            self._scheduler.pool.disown(live.sequence.blocks)
            error = "the logits are not numbers, or the grammar allows no token"
            self._exchange.fail(live, FloatingPointError(error))
            return None
        return live, token, sampled.logprobs.get(index), one.hidden

    def _holds(self, one: _Due, sampled: Sampled) -> bool:
        """Whether the position behind the token that was just taken has been computed with it, so that there is another
        token."""
        guesses, sequence = one.piece.guesses, one.piece.sequence
        if one.held == len(guesses) or sampled.tokens[one.index + one.held] != guesses[one.held]:
            return False
        one.held += 1
        if one.live.job.rid not in self._exchange.live or sequence.todo != 1 or sequence.spans:
            return False
        self._scheduler.computed(Slice(sequence, len(sequence.tokens) - 1, 1, samples=True))
        return True

    def _mask(self, live: Live, match: Match, row: int, guesses: Sequence[int]) -> None:
        error = attempt(self._add_masks, match, row, guesses)
        if error is not None:
            self._exchange.fail(live, error)

    def _add_masks(self, match: Match, row: int, guesses: Sequence[int]) -> None:
        """Of the next token, and of those behind each guess."""
        self._masks.add(row, match.fill)
        for ahead, token in enumerate(guesses, 1):
            match.take(token)
            self._masks.add(row + ahead, match.fill)
        match.back(len(guesses))
