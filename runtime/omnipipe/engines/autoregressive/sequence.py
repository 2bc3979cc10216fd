"""One request inside the engine: its positions, which of them are computed, and the blocks that hold their KV.

Knows no torch (embeddings are opaque here) and decides nothing; the scheduler and the engine change it.
"""

from array import array
from collections.abc import Sequence as Several
from dataclasses import dataclass
from enum import Enum, auto
from hashlib import blake2b
from typing import Final

from omnipipe.engines.autoregressive.rope import Rope

__all__ = ["NO_TOKEN", "Sequence", "Span", "State"]

NO_TOKEN: Final = 0
"""Stands in `tokens` where an embedding takes a token's place; any valid id would do."""

_DIGEST_BYTES: Final = 16


class State(Enum):
    WAITING = auto()
    """Holds no blocks: new, or preempted."""
    RUNNING = auto()
    """Holds blocks for what is computed."""
    GONE = auto()


@dataclass(frozen=True, slots=True)
class Span:
    """Positions `start` to `start + size` whose input is an embedding."""

    start: int
    size: int
    embeds: object
    """`[size, hidden]`."""
    key: bytes
    """What the embeddings were made from; empty: not known, so from here on nothing is shared."""
    deep: Several[object] = ()
    """`[size, hidden]` each, added behind layer 0, 1, ...; `key` stands for them, too."""


class Sequence:
    """`limit`: positions it can have at most, prompt and answer together."""

    __slots__ = (
        "_digests", "_plain_until", "arrival", "blocks", "cached", "computed", "drafted", "held", "last_step", "limit",
        "paused", "preemptions", "prefix_cached", "priority", "prompt_size", "rid", "rope", "scored", "shared", "spans",
        "state", "to_score", "tokens",
    )  # fmt: skip

    def __init__(
        self,
        rid: str,
        tokens: list[int],
        *,
        limit: int,
        priority: int = 0,
        held: bool = False,
        shared: bool = True,
    ) -> None:
        self.rid = rid
        self.tokens = tokens
        self.prompt_size = len(tokens)
        """Positions that were not generated."""
        self.limit = limit
        self.priority = priority
        self.arrival = 0
        """Set by the scheduler: its place among equals, for life."""
        self.held = held
        """No sampling for now: its last position stays uncomputed."""
        self.paused = False
        """Nothing at all for now."""
        self.shared = shared
        """Takes KV from the prefix cache (what it computes is offered in any case)."""
        self.to_score = 0
        """The logits of the positions before this one are asked for, each once: they tell how likely the prompt was."""
        self.scored = 0
        """As far as that has been done."""
        self.state = State.WAITING
        self.spans: list[Span] = []
        self.rope: Rope | None = None
        """None: positions are counted."""
        self.computed = 0
        self.drafted = 0
        """Positions whose KV of the draft model is in the blocks, too."""
        self.blocks: list[int] = []
        self.cached = 0
        """Positions whose KV came from the prefix cache when it was first admitted."""
        self.prefix_cached = False
        """`cached` is known."""
        self.last_step = -1
        """The step that computed something of it last."""
        self.preemptions = 0
        self._digests: list[bytes] = []
        """Of the blocks from the start that are full, as far as they were asked for."""
        self._plain_until: int | None = None
        """Nothing from this position on can be shared."""

    def __repr__(self) -> str:
        return f"Sequence({self.rid!r}, {self.computed}/{len(self.tokens)}/{self.limit}, {self.state.name})"

    @property
    def todo(self) -> int:
        """Positions to compute before the next token, the one that it is sampled from included. 0 while it can do
        nothing."""
        return len(self.tokens) - self.computed - self.held

    @property
    def reusable(self) -> int:
        """Positions whose KV may come from others: what is wanted of them is no more than that."""
        if not self.shared:
            return 0
        return self.scored if self.scored < self.to_score else len(self.tokens) - self.held - 1

    @property
    def samples_next(self) -> bool:
        """Computing all that is there gives a token."""
        return not self.held

    def append(self, token: int) -> None:
        self.tokens.append(token)

    def append_prompt(self, tokens: list[int]) -> None:
        """More input behind all that is there."""
        self.tokens += tokens
        self.prompt_size += len(tokens)

    def embed(self, start: int, size: int, embeds: object, key: bytes, deep: Several[object] = ()) -> None:
        """The input of these positions, not computed yet, is an embedding. In order of position."""
        self.spans.append(Span(start, size, embeds, key, deep))
        if not key and self._plain_until is None:
            self._plain_until = start

    def place(self, start: int, rows: Several[Several[float]]) -> None:
        """Where positions from `start` on lie (see `rope`). In order."""
        if self.rope is None:
            self.rope = Rope()
        self.rope.extend(start, rows)

    def digest(self, index: int, block_tokens: int) -> bytes | None:
        """Names the content of block `index` and of all before it; None: it is not full, or cannot be named."""
        digests = self._digests
        end = (index + 1) * block_tokens
        if end > len(self.tokens) or (self._plain_until is not None and end > self._plain_until):
            return None
        while len(digests) <= index:
            start = len(digests) * block_tokens
            content = array("q", self.tokens[start : start + block_tokens]).tobytes()
            before = digests[-1] if digests else b""
            digest = blake2b(before + content, digest_size=_DIGEST_BYTES)
            for span in self.spans:
                if span.start < start + block_tokens and span.start + span.size > start:
                    digest.update(array("q", (span.start - start, span.size)).tobytes() + span.key)
            if self.rope is not None:
                digest.update(self.rope.digest(start, start + block_tokens))
            digests.append(digest.digest())
        return digests[index]
