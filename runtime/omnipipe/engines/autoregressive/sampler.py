"""Chooses the next token of each row of logits, all rows of a step at once, each by its own request's wishes.

    logits ──bias, penalties, bans, mask──► ──temperature──► ──top_k, top_p, min_p──► a race by the seed ──► token

What a row gives depends on that row, its request and the seed alone. Each candidate runs a time drawn by its own number
of (seed, place, token) and the quickest is chosen, which is exactly the distribution asked for (the Gumbel trick); and
two rows that are alike mostly choose alike, which is what makes a draft model's guesses hold. Must not know when a
request ends, nor compute a grammar (it is given masks).
"""

import secrets
from collections.abc import Collection, Sequence
from copy import copy
from dataclasses import dataclass
from typing import Any, Final

import torch

from omnipipe.engines.autoregressive.masks import Masks
from omnipipe.engines.autoregressive.noise import uniform
from omnipipe.engines.autoregressive.program import Choice, Sampling, TokenLogprobs
from omnipipe.engines.autoregressive.race import numbers

__all__ = ["Chooser", "Sampled", "sample"]

_SHORT_LIST: Final = 128
"""Candidates looked at before a row's whole vocabulary is sorted: nearly always all that top_p keeps."""
_COLDEST: Final = 1e-5
"""Below this temperature the likeliest token is taken: the division would overflow."""


class Chooser:
    """How one request's tokens are chosen, and what of its past counts for that."""

    __slots__ = (
        "_counts", "_slot", "_tokens", "banned", "bias", "generated", "greedy", "penal", "sampling", "seed",
        "truncates",
    )  # fmt: skip

    def __init__(self, sampling: Sampling, prompt: Sequence[int], banned: frozenset[int] = frozenset()) -> None:
        """`banned`: not to be chosen, for now (stop tokens before `min_tokens`)."""
        self.sampling = sampling
        self.seed = secrets.randbits(64) if sampling.seed is None else sampling.seed
        self.greedy = sampling.temperature < _COLDEST
        self.truncates = sampling.top_k > 0 or sampling.top_p < 1.0 or sampling.min_p > 0.0
        self.penal = bool(sampling.presence_penalty or sampling.frequency_penalty or sampling.repetition_penalty != 1.0)
        self.banned = banned
        self.bias = sampling.logit_bias
        self.generated = 0
        self._slot: dict[int, int] = {}
        self._tokens: list[int] = []
        self._counts: list[int] = []
        if sampling.repetition_penalty != 1.0:
            for token in prompt:
                self._count(token, 0)

    @property
    def plain(self) -> bool:
        """Its logits are taken as they are."""
        return not (self.penal or self.bias or self.banned)

    def chose(self, token: int) -> None:
        self.generated += 1
        if self.penal:
            self._count(token, 1)

    def after(self, token: int, min_tokens: int) -> "Chooser":
        """As it will be if this token is chosen next; itself it stays as it is."""
        made = copy(self)
        if self.penal:
            made._slot, made._tokens, made._counts = dict(self._slot), list(self._tokens), list(self._counts)
        made.chose(token)
        made.lift(min_tokens)
        return made

    def lift(self, min_tokens: int) -> None:
        """Ends the ban once so many tokens have been generated."""
        if self.generated >= min_tokens:
            self.banned = frozenset()

    def past(self) -> tuple[list[int], list[int]]:
        """Tokens that penalties are about, and how often each was generated."""
        return self._tokens, self._counts

    def _count(self, token: int, by: int) -> None:
        slot = self._slot.get(token)
        if slot is None:
            self._slot[token] = len(self._tokens)
            self._tokens.append(token)
            self._counts.append(by)
        else:
            self._counts[slot] += by


@dataclass(slots=True)
class Sampled:
    tokens: list[int]
    """-1: the row is not a number, or nothing may be chosen."""
    logprobs: dict[int, TokenLogprobs]
    """Row -> of the token chosen, where asked for."""


def sample(
    logits: torch.Tensor,
    choosers: Sequence[Chooser],
    masks: Masks | None = None,
    *,
    logprobs: bool = True,
) -> Sampled:
    """`logits`: `[rows, vocabulary]` in f32, overwritten. `masks`: of those rows that are held to a grammar.
    `logprobs`: False: of nobody, whatever was asked for."""
    asked = [row for row, chooser in enumerate(choosers) if logprobs and chooser.sampling.logprobs is not None]
    raw = logits[asked].log_softmax(-1) if asked else None
    masked = () if masks is None else masks.rows
    _adjust(logits, choosers, masked)
    if masks is not None and masked:
        best, likeliest = _largest_allowed(logits, masks, choosers)
    else:
        best, likeliest = _largest(logits)
    tokens: list[int] = torch.where(best.isfinite(), likeliest, -1).tolist()
    drawn = [row for row, chooser in enumerate(choosers) if not chooser.greedy and tokens[row] >= 0]
    if drawn:
        if len(drawn) < len(tokens):
            logits, best = logits[drawn], best[drawn]
        for row, token in zip(drawn, _draw(logits, best, [choosers[row] for row in drawn]), strict=True):
            tokens[row] = token
    return Sampled(tokens, {} if raw is None else _logprobs(raw, asked, tokens, choosers))


def _largest(logits: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Of each row, and where. The kernel's takes a fraction of the time of torch's on a CPU, once it is there."""
    kernel = _kernel("largest", logits)
    if kernel is not None:
        found: tuple[torch.Tensor, torch.Tensor] = kernel(logits)
        return found
    best, likeliest = logits.max(-1)
    return best, likeliest


def _largest_allowed(
    logits: torch.Tensor, masks: Masks, choosers: Sequence[Chooser]
) -> tuple[torch.Tensor, torch.Tensor]:
    """The same among what is allowed. Rows that are drawn from have -inf elsewhere afterwards."""
    for place, row in enumerate(masks.rows):
        if choosers[row].banned:  # what a grammar allows wins over a ban that would leave nothing
            masks.without(place, choosers[row].banned, logits.shape[1])
    kernel = _kernel("largest_allowed", logits)
    if kernel is None:
        masks.apply(logits)
        return _largest(logits)
    places = [-1] * len(choosers)
    for place, row in enumerate(masks.rows):
        places[row] = place
    found: tuple[torch.Tensor, torch.Tensor] = kernel(
        logits, masks.bits, places, [not chooser.greedy for chooser in choosers]
    )
    return found


def _kernel(name: str, logits: torch.Tensor) -> Any:  # not typed
    """None: it is not there, or not for these."""
    operations: Any = torch.ops
    fits = logits.device.type == "cpu" and logits.is_contiguous()
    return getattr(operations.omnipipe, name, None) if fits else None


def _adjust(logits: torch.Tensor, choosers: Sequence[Chooser], masked: Collection[int]) -> None:
    _penalise(logits, [(row, chooser) for row, chooser in enumerate(choosers) if chooser.penal])
    rows: list[int] = []
    columns: list[int] = []
    added: list[float] = []
    for row, chooser in enumerate(choosers):
        if chooser.plain:
            continue
        for token, bias in chooser.bias.items():
            rows.append(row)
            columns.append(token)
            added.append(bias)
        for token in chooser.banned if row not in masked else ():
            rows.append(row)
            columns.append(token)
            added.append(float("-inf"))
    if rows:
        where = (torch.tensor(rows, device=logits.device), torch.tensor(columns, device=logits.device))
        logits.index_put_(where, torch.tensor(added, dtype=logits.dtype, device=logits.device), accumulate=True)


def _penalise(logits: torch.Tensor, penal: Sequence[tuple[int, Chooser]]) -> None:
    """All rows at once: each of a few operations costs as much as computing with a thousand numbers."""
    rows: list[int] = []
    columns: list[int] = []
    counts: list[int] = []
    factors: list[tuple[float, float, float]] = []
    for row, chooser in penal:
        tokens, often = chooser.past()
        sampling = chooser.sampling
        rows += [row] * len(tokens)
        columns += tokens
        counts += often
        factors += [
            (sampling.repetition_penalty, sampling.frequency_penalty, sampling.presence_penalty)
        ] * len(tokens)  # fmt: skip
    if not rows:
        return
    where = (torch.tensor(rows, device=logits.device), torch.tensor(columns, device=logits.device))
    count = torch.tensor(counts, dtype=logits.dtype, device=logits.device)
    repetition, frequency, presence = torch.tensor(factors, dtype=logits.dtype, device=logits.device).unbind(1)
    values = logits[where]
    values = torch.where(values > 0, values / repetition, values * repetition)
    logits.index_put_(where, values - frequency * count - presence * (count > 0))


def _draw(logits: torch.Tensor, best: torch.Tensor, choosers: Sequence[Chooser]) -> list[int]:
    """From a short list of the likeliest and what is left as a whole; rows whose limits reach further are done over
    from the whole vocabulary. Either way gives the same."""
    device, size = logits.device, logits.shape[1]
    temperature = torch.tensor([c.sampling.temperature for c in choosers], device=device)
    weights = logits.sub_(best[:, None]).div_(temperature[:, None]).exp_()
    total = weights.sum(-1, dtype=torch.float64)
    short = min(_SHORT_LIST, size)
    tokens, enough = _race(weights, total, choosers, short)
    left = [row for row, done in enumerate(enough) if not done and short < size]
    if left:
        again, _ = _race(weights[left], total[left], [choosers[row] for row in left], size)
        for row, token in zip(left, again, strict=True):
            tokens[row] = token
    for row, token in enumerate(tokens):
        if token < 0:
            tokens[row] = _from_rest(weights[row], choosers[row], short)
    return tokens


def _race(
    weights: torch.Tensor, total: torch.Tensor, choosers: Sequence[Chooser], size: int
) -> tuple[list[int], list[bool]]:
    """The winner of each row, -1 for one that is not among the `size` likeliest; and whether the row's limits were
    within them."""
    device = weights.device
    listed, columns = weights.topk(size, dim=-1)
    listed = listed.double()
    kept, enough = _kept(listed, total, choosers)
    rest = (total - listed.sum(-1)) * torch.tensor([not c.truncates for c in choosers], device=device)
    if size == weights.shape[1]:
        rest.zero_()
    listed = torch.cat([listed * kept, rest.clamp_(min=0.0)[:, None]], -1)
    runners = torch.cat([columns, columns.new_full((len(choosers), 1), -1)], -1)
    drawn = numbers([c.seed for c in choosers], [c.generated for c in choosers], runners)
    winners = (listed / -drawn.log_()).argmax(-1, keepdim=True)
    chosen: list[int] = runners.gather(1, winners)[:, 0].tolist()
    return chosen, enough.tolist()


def _kept(listed: torch.Tensor, total: torch.Tensor, choosers: Sequence[Chooser]) -> tuple[torch.Tensor, torch.Tensor]:
    """Which of the listed are within their row's limits, in turn: the k likeliest; of what those weigh, the first that
    reach top_p; of them, the ones not below min_p. And whether that is all that is within them."""
    device, size = listed.device, listed.shape[1]
    top_k = torch.tensor([min(c.sampling.top_k, size) or size for c in choosers], device=device)[:, None]
    top_p = torch.tensor([c.sampling.top_p for c in choosers], dtype=torch.float64, device=device)[:, None]
    min_p = torch.tensor([c.sampling.min_p for c in choosers], dtype=torch.float64, device=device)[:, None]
    first = torch.arange(size, device=device) < top_k
    listed = listed * first
    limited = torch.tensor([0 < c.sampling.top_k <= size for c in choosers], device=device)
    base = torch.where(limited, listed.sum(-1), total)[:, None]
    reach = listed.cumsum(-1)
    kept = first & ((reach - listed) < top_p * base)
    kept &= listed >= min_p  # the likeliest weighs 1
    kept[:, 0] = True
    free = torch.tensor([not c.truncates for c in choosers], device=device)
    enough = free | limited | (reach[:, -1:] >= top_p * base)[:, 0] | (listed[:, -1] < min_p[:, 0])
    return kept, enough


def _from_rest(weights: torch.Tensor, chooser: Chooser, size: int) -> int:
    """One that is not among the `size` likeliest, by the inverse of the distribution function."""
    columns = weights.topk(size).indices
    reach = weights.index_fill(0, columns, 0.0).cumsum(-1, dtype=torch.float64)
    if not reach[-1] > 0:  # it was a matter of rounding
        return int(columns[0])
    number = uniform(chooser.seed, chooser.generated) * reach[-1:]
    return int(torch.searchsorted(reach, number, right=True).clamp_(max=len(weights) - 1))


def _logprobs(
    raw: torch.Tensor, asked: Sequence[int], tokens: Sequence[int], choosers: Sequence[Chooser]
) -> dict[int, TokenLogprobs]:
    wanted = [choosers[row].sampling.logprobs or 0 for row in asked]
    most = min(max(wanted), raw.shape[1])
    chosen = raw.gather(1, torch.tensor([[max(tokens[row], 0)] for row in asked], device=raw.device))[:, 0].tolist()
    values, columns = raw.topk(most, dim=-1)
    found = {}
    for row, count, logprob, top, ids in zip(asked, wanted, chosen, values.tolist(), columns.tolist(), strict=True):
        best = tuple(map(Choice, ids[:count], top[:count]))
        found[row] = TokenLogprobs(Choice(tokens[row], logprob), best)
    return found
