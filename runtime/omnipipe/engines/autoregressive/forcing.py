"""Guesses the next tokens of requests where their grammar leaves one text, for the model to check several in one step.

llguidance's masks leave such a text the tokens in which its tokenizer writes it, and no others, so these guesses hold;
checked they are like a draft model's (`speculation`), each by the mask at its place: whatever is answered is what would
have been answered token by token. Must not choose a token that a client sees.
"""

from collections.abc import Sequence
from typing import Final

from omnipipe.engines.autoregressive.live import Live
from omnipipe.engines.autoregressive.scheduler import Scheduler, Slice
from omnipipe.engines.autoregressive.speculation import guessable

__all__ = ["Forcing"]

_AT_ONCE: Final = 16
"""Of one request in a step: others wait for it."""

_Part = Sequence[tuple[Slice, Live]]


class Forcing:
    """`rows`: guesses in a step, at most; the logits of each are in memory at one time."""

    def __init__(self, scheduler: Scheduler, rows: int) -> None:
        self.guessed = 0
        """Tokens, so far."""
        self._scheduler = scheduler
        self._rows = rows

    def guess(self, part: _Part) -> None:
        """Puts what grammars force behind the slices."""
        room = self._rows
        for piece, live in part:
            if live.match is None:
                continue
            live.ahead = []
            if guessable(piece, live, piece.sequence.limit):
                self._guess(piece, live, live.match.forced()[: min(room, _AT_ONCE)])
                room -= len(piece.guesses)

    def _guess(self, piece: Slice, live: Live, tokens: Sequence[int]) -> None:
        if not tokens:
            return
        generation, sequence = live.generation, piece.sequence
        count = self._scheduler.widen(piece, min(len(tokens), sequence.limit - len(sequence.tokens) - 1))
        chooser = live.chooser
        for token in tokens[:count]:
            if token in generation.stop_tokens:
                return
            chooser = chooser.after(token, generation.min_tokens)
            live.ahead.append(chooser)
            piece.guesses.append(token)
            self.guessed += 1
