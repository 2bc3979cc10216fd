"""The sampler on logits of our own: distributions, limits and penalties, for each row by itself in a mixed batch."""

import math

import pytest
import torch
from tests.integration.engines.autoregressive.masking import masks_of

from omnipipe.engines.autoregressive.program import Sampling
from omnipipe.engines.autoregressive.sampler import Chooser, sample

DRAWS = 4000
CHI_SQUARE_1E6 = {5: 35.9, 6: 38.3, 7: 40.5, 8: 42.7, 9: 44.8, 10: 46.9, 11: 48.9}
"""Degrees of freedom -> what a right sampler exceeds once in a million tests."""

LOGITS = torch.tensor([2.0, 1.5, 1.0, 0.5, 0.0, -0.5, -1.0, -1.5, 0.25, 0.75, -0.25, 1.25])
PAST = [1, 1, 3]


def expected(sampling: Sampling) -> torch.Tensor:
    """The distribution, step by step as it is defined."""
    logits = LOGITS.double().clone()
    for token in set(PAST):
        count = PAST.count(token)
        penalty = sampling.repetition_penalty
        logits[token] = logits[token] / penalty if logits[token] > 0 else logits[token] * penalty
        logits[token] -= sampling.frequency_penalty * count + sampling.presence_penalty
    for token, bias in sampling.logit_bias.items():
        logits[token] += bias
    p = (logits / sampling.temperature).softmax(-1)
    if sampling.top_k:
        p[p.argsort(descending=True)[sampling.top_k :]] = 0
        p /= p.sum()
    order = p.argsort(descending=True)
    before = p[order].cumsum(0) - p[order]
    p[order[before >= sampling.top_p]] = 0
    p[p < sampling.min_p * p.max()] = 0
    return p / p.sum()


MIX = [
    Sampling(),
    Sampling(temperature=0.5),
    Sampling(temperature=2.0),
    Sampling(top_k=5),
    Sampling(top_p=0.7),
    Sampling(top_p=0.95, temperature=1.7, top_k=9),
    Sampling(min_p=0.2),
    Sampling(presence_penalty=1.0),
    Sampling(frequency_penalty=0.8, temperature=1.3),
    Sampling(repetition_penalty=1.5),
    Sampling(logit_bias={7: 4.0, 0: -100.0}),
    Sampling(top_p=0.8, presence_penalty=0.5, logit_bias={2: 1.0}),
]


def chooser(sampling: Sampling, seed: int) -> Chooser:
    made = Chooser(sampling, [])
    made.seed = seed
    for token in PAST:
        made.chose(token)
    return made


def test_every_request_of_a_mixed_batch_has_its_own_distribution() -> None:
    counts = torch.zeros(len(MIX), len(LOGITS))
    choosers = [chooser(sampling, 1000 + row) for row, sampling in enumerate(MIX)]
    for place in range(DRAWS):
        for made in choosers:
            made.generated = place
        for row, token in enumerate(sample(LOGITS.repeat(len(MIX), 1), choosers).tokens):
            counts[row, token] += 1
    for row, sampling in enumerate(MIX):
        p = expected(sampling)
        assert counts[row, p == 0].sum() == 0, sampling
        seen = p > 0
        statistic = ((counts[row, seen] - DRAWS * p[seen]) ** 2 / (DRAWS * p[seen])).sum().item()
        freedom = int(seen.sum()) - 1
        assert statistic < CHI_SQUARE_1E6.get(freedom, 35.0), (sampling, statistic)


def test_a_row_gives_the_same_alone_and_in_any_company() -> None:
    generator = torch.Generator().manual_seed(3)
    for _ in range(50):
        logits = torch.randn(len(MIX), 400, generator=generator) * 3
        together = sample(logits.clone(), [chooser(s, 7 + row) for row, s in enumerate(MIX)]).tokens
        for row, sampling in enumerate(MIX):
            assert sample(logits[row : row + 1].clone(), [chooser(sampling, 7 + row)]).tokens == [together[row]]
        order = list(range(len(MIX)))[::-1]
        turned = sample(logits[order].clone(), [chooser(MIX[row], 7 + row) for row in order]).tokens
        assert turned == together[::-1]


def test_a_limit_beyond_the_short_list_is_kept_too() -> None:
    """Flat logits: top_p 0.9 of 1000 tokens are 900, far more than are looked at first."""
    logits = -torch.arange(1000.0)[None] * 1e-4
    made = Chooser(Sampling(top_p=0.9, seed=1), [])
    drawn = []
    for place in range(600):
        made.generated = place
        drawn += sample(logits.clone(), [made]).tokens
    assert 600 < max(drawn) < 910
    assert len({token // 100 for token in drawn}) >= 9


def test_zero_temperature_takes_the_likeliest_after_penalties_and_bias() -> None:
    plain = Chooser(Sampling(temperature=0.0), [])
    biased = Chooser(Sampling(temperature=0.0, logit_bias={5: 10.0}), [])
    penal = chooser(Sampling(temperature=0.0, presence_penalty=2.0, logit_bias={0: -9.0}), 1)
    tiny = Chooser(Sampling(temperature=1e-9), [])
    assert sample(LOGITS.repeat(4, 1), [plain, biased, penal, tiny]).tokens == [0, 5, 11, 0]


def test_repetition_counts_the_prompt_and_the_others_do_not() -> None:
    prompt = [0]
    repeats = Chooser(Sampling(temperature=0.0, repetition_penalty=2.0), prompt)
    present = Chooser(Sampling(temperature=0.0, presence_penalty=2.0, frequency_penalty=2.0), prompt)
    assert sample(LOGITS.repeat(2, 1), [repeats, present]).tokens == [1, 0]


def test_banned_and_masked_tokens_are_not_chosen() -> None:
    banned = Chooser(Sampling(temperature=0.0), [], frozenset({0, 1}))
    masked = Chooser(Sampling(temperature=3.0, seed=1), [])
    assert sample(LOGITS.repeat(2, 1), [banned, masked], masks_of({1: [4]}, 12)).tokens == [11, 4]


@pytest.mark.parametrize("bad", [math.nan, math.inf])
@pytest.mark.parametrize("sampling", [Sampling(temperature=0.0), Sampling(seed=1), Sampling(top_p=0.5)])
def test_a_row_that_is_no_number_is_known_and_the_others_are_not_touched(bad: float, sampling: Sampling) -> None:
    logits = LOGITS.repeat(3, 1)
    logits[1, 4] = bad
    greedy = Sampling(temperature=0.0)
    tokens = sample(logits, [Chooser(greedy, []), Chooser(sampling, []), Chooser(greedy, [])]).tokens
    assert tokens == [0, -1, 0]


def test_a_grammar_wins_over_a_ban_that_would_leave_nothing() -> None:
    masks = masks_of({0: [4, 5], 1: [4, 5]}, 12)
    some, all_banned = (Chooser(Sampling(temperature=0.0), [], frozenset(ban)) for ban in ({4, 0}, {4, 5}))
    assert sample(LOGITS.repeat(2, 1), [some, all_banned], masks).tokens == [5, 4]


def test_nothing_allowed_is_known() -> None:
    assert sample(LOGITS[None].clone(), [Chooser(Sampling(seed=1), [])], masks_of({0: []}, 12)).tokens == [-1]


def test_logprobs_are_the_models_own() -> None:
    options = {"temperature": 0.0, "logit_bias": {5: 50.0}, "presence_penalty": 1.0}
    choosers = [Chooser(Sampling(logprobs=n, **options), []) for n in (None, 0, 3)]  # type: ignore[arg-type]
    sampled = sample(LOGITS.repeat(3, 1), choosers)
    want = LOGITS.log_softmax(-1)
    assert sorted(sampled.logprobs) == [1, 2]
    assert sampled.logprobs[1].top == ()
    assert sampled.logprobs[1].chosen.token == 5
    assert sampled.logprobs[1].chosen.logprob == pytest.approx(want[5].item(), abs=1e-5)
    top = sampled.logprobs[2].top
    assert [choice.token for choice in top] == [0, 1, 11]
    assert [choice.logprob for choice in top] == pytest.approx([want[t].item() for t in (0, 1, 11)], abs=1e-5)


@pytest.mark.parametrize("sampling", [Sampling(), Sampling(temperature=0.6), Sampling(top_p=0.9), Sampling(top_k=20)])
def test_logits_that_are_nearly_alike_mostly_give_the_same_token(sampling: Sampling) -> None:
    """What guesses live on. No two samplers can agree more often than their distributions overlap."""
    generator = torch.Generator().manual_seed(6)
    rows = 400
    logits = torch.randn(rows, 300, generator=generator) * 2.5
    others = logits + torch.randn(rows, 300, generator=generator) * 0.2
    overlap = torch.minimum(limited(logits, sampling), limited(others, sampling)).sum(-1).mean().item()
    choosers = [
        Chooser(Sampling(sampling.temperature, sampling.top_p, sampling.top_k, seed=n), []) for n in range(rows)
    ]
    mine, its = (torch.tensor(sample(each.clone(), choosers).tokens) for each in (logits, others))
    assert (mine == its).double().mean().item() > overlap - 0.08
    assert overlap > 0.8


def limited(logits: torch.Tensor, sampling: Sampling) -> torch.Tensor:
    p = (logits.double() / sampling.temperature).softmax(-1)
    ranked, order = p.sort(-1, descending=True)
    kept = ranked.cumsum(-1) - ranked < sampling.top_p
    if sampling.top_k:
        kept[:, sampling.top_k :] = False
    p = torch.zeros_like(p).scatter(1, order, ranked * kept)
    return p / p.sum(-1, keepdim=True)


def test_what_is_not_among_the_likeliest_is_chosen_as_often_as_it_should_be() -> None:
    """A thousand tokens of nearly one weight: most of them are looked at as a whole."""
    logits = torch.cat([torch.full((500,), 1.0), torch.full((500,), 0.0)])[None]
    made = Chooser(Sampling(seed=1), [])
    counts = torch.zeros(1000)
    for place in range(3000):
        made.generated = place
        counts[sample(logits.clone(), [made]).tokens[0]] += 1
    share = math.e / (1 + math.e)
    assert abs(counts[:500].sum().item() / 3000 - share) < 0.04
    for tenth in range(5):
        part = counts[tenth * 100 : tenth * 100 + 100].sum().item()
        assert abs(part - 600 * share) < 110
    assert (counts[:500] > 0).sum() > 480
