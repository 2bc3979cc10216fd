"""A prompt that begins its own answer, with how likely each of its tokens was.

The text is the client's own, or what its token ids stand for; the log probabilities come as the prompt is computed.
"""

from collections.abc import Sequence

from omnipipe.engines.autoregressive.program import TokenLogprobs
from omnipipe.families.llm.vocabulary import Vocabulary
from omnipipe.families.text_pieces import LogprobPiece

__all__ = ["ScoredPrompt", "unseen_tokens"]


def unseen_tokens(tokens: Sequence[int], plain: Sequence[int]) -> frozenset[int]:
    """Places of the tokens that a tokenizer put around a text: `plain` is the text alone."""
    for before in range(len(tokens) - len(plain) + 1):
        if list(tokens[before : before + len(plain)]) == list(plain):
            return frozenset([*range(before), *range(before + len(plain), len(tokens))])
    return frozenset()


class ScoredPrompt:
    """`unseen`: places of tokens that are not in the echoed text."""

    def __init__(self, vocabulary: Vocabulary, first: int, unseen: frozenset[int]) -> None:
        self._vocabulary = vocabulary
        self._first: int | None = first
        self._unseen = unseen
        self._told = 0

    def pieces(self, found: Sequence[TokenLogprobs] = ()) -> list[LogprobPiece]:
        """Of the next tokens. The first one, of which there is nothing to find, comes with those behind it."""
        pieces = self._vocabulary.logprobs(found)
        if self._first is not None:
            pieces.insert(0, self._vocabulary.first(self._first))
            self._first = None
        for piece in pieces:
            if self._told in self._unseen:
                piece["unseen"] = True
            self._told += 1
        return pieces
