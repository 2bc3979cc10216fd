"""How likely each token was, in the two shapes that OpenAI has for it."""

from codecs import getincrementaldecoder
from collections.abc import Sequence
from typing import Final

import msgspec

from omnipipe.families.text_pieces import LogprobPiece, TopPiece

__all__ = [
    "ChatLogprobs",
    "LegacyLogprobs",
    "LegacyWriter",
    "TokenLogprob",
    "TopLogprob",
    "mean_logprob",
    "token_logprobs",
]

_LEAST: Final = -9999.0
"""What OpenAI says in place of minus infinity, which JSON does not have."""


class TopLogprob(msgspec.Struct, frozen=True):
    token: str
    bytes: list[int] | None
    logprob: float


class TokenLogprob(msgspec.Struct, frozen=True):
    token: str
    bytes: list[int] | None
    logprob: float
    top_logprobs: list[TopLogprob]


class ChatLogprobs(msgspec.Struct, frozen=True):
    content: list[TokenLogprob]
    refusal: None = None


def token_logprobs(pieces: Sequence[LogprobPiece]) -> list[TokenLogprob]:
    return [
        TokenLogprob(piece["token"], piece["bytes"], _finite(piece), [_top(top) for top in piece["top"]])
        for piece in pieces
    ]


class LegacyLogprobs(msgspec.Struct, frozen=True):
    """Of a completion: four lists with an item for each token. A token that is not whole characters is spelt in bytes,
    as OpenAI does: `bytes:\\xf0\\x9f`."""

    tokens: list[str]
    token_logprobs: list[float | None]
    """None: of the first token of an echoed prompt."""
    top_logprobs: list[dict[str, float] | None]
    """The likeliest, and the token itself when it was not among them."""
    text_offset: list[int]
    """Where in the choice's text the token begins, in characters."""


class LegacyWriter:
    """Of one choice. Tokens may end inside a character, so offsets are counted on what their bytes add up to."""

    def __init__(self, offset: int) -> None:
        """`offset`: characters before the first token, of an echoed prompt."""
        self._offset = offset
        self._decoder = getincrementaldecoder("utf-8")("replace")

    def shape(self, pieces: Sequence[LogprobPiece]) -> LegacyLogprobs:
        offsets = []
        for piece in pieces:
            offsets.append(self._offset)
            if piece.get("unseen"):
                continue
            spelt = piece["bytes"]
            text = piece["token"] if spelt is None else self._decoder.decode(bytes(spelt))
            self._offset += len(text)
        return LegacyLogprobs(
            [_legacy_name(piece) for piece in pieces],
            [None if piece.get("first") else _finite(piece) for piece in pieces],
            [None if piece.get("first") else _legacy_top(piece) for piece in pieces],
            offsets,
        )


def _legacy_top(piece: LogprobPiece) -> dict[str, float]:
    """The token itself comes last: where two are spelt alike, it is the one that is told."""
    return {_legacy_name(top): _finite(top) for top in (*piece["top"], piece)}


def _legacy_name(piece: TopPiece) -> str:
    spelt = piece["bytes"]
    if spelt is None or "\N{REPLACEMENT CHARACTER}" not in piece["token"]:
        return piece["token"]
    return "bytes:" + "".join(f"\\x{byte:02x}" for byte in spelt)


def mean_logprob(pieces: Sequence[LogprobPiece]) -> float:
    """How likely a text is, a token; what the best of several is chosen by."""
    return sum(map(_finite, pieces)) / len(pieces) if pieces else _LEAST


def _top(piece: TopPiece) -> TopLogprob:
    return TopLogprob(piece["token"], piece["bytes"], _finite(piece))


def _finite(piece: TopPiece) -> float:
    return piece["logprob"] if piece["logprob"] > _LEAST else _LEAST
