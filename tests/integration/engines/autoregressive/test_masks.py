"""What a grammar allows, in bits: the kernel and plain operations choose the same, and free rows know nothing of it."""

import random
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from tests.integration.engines.autoregressive.masking import masks_of, packed

from omnipipe.engines.autoregressive import sampler
from omnipipe.engines.autoregressive.masks import Masks
from omnipipe.engines.autoregressive.program import Sampling
from omnipipe.engines.autoregressive.sampler import Chooser, sample
from omnipipe.engines.kernels.native import NativeKernels

SAMPLINGS = [Sampling(temperature=0.0), Sampling(seed=3), Sampling(top_p=0.6, seed=4), Sampling(top_k=3, seed=5)]
GREEDY = SAMPLINGS[0]


@pytest.fixture(scope="module")
def largest_allowed() -> Any:
    kernel = NativeKernels()
    kernel.start()
    if not kernel.wait(300):
        pytest.skip("no kernels on this machine")
    return torch.ops.omnipipe.largest_allowed


@pytest.fixture(params=["kernel", "plain"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    if request.param == "plain":
        monkeypatch.setattr(sampler, "_kernel", lambda name, logits: None)
    else:
        request.getfixturevalue("largest_allowed")
    yield request.param


def rows_of(count: int, columns: int) -> torch.Tensor:
    return torch.randn(count, columns, generator=torch.Generator().manual_seed(columns)) * 3


@pytest.mark.parametrize("columns", [1, 15, 16, 31, 33, 64, 1024, 1041, 5000])
def test_the_largest_that_is_allowed(columns: int, largest_allowed: Any) -> None:
    """Of rows with all, nothing, one, a few and most of it allowed; ties: the first counts."""
    rng = random.Random(columns)
    every = range(columns)
    allowed = [
        every,
        [],
        [rng.randrange(columns)],
        rng.sample(every, -(-columns // 7)),
        rng.sample(every, columns // 2),
    ]
    logits = rows_of(2 * len(allowed), columns).round(decimals=1)
    clears = [row % 2 == 1 for row in range(len(logits))]
    bits = torch.stack([packed(some, columns) for some in allowed])
    want = logits.clone()
    places = [row // 2 for row in range(len(logits))]
    for row, place in enumerate(places):
        want[row, [token for token in every if token not in set(allowed[place])]] = float("-inf")
    found = logits.clone()
    best, at = largest_allowed(found, bits, places, clears)
    assert torch.equal(best, want.amax(-1))
    for row, index in enumerate(at.tolist()):
        if best[row] > float("-inf"):
            assert index == want[row].eq(best[row]).nonzero()[0].item()
    assert torch.equal(found[1::2], want[1::2])
    assert torch.equal(found[::2], logits[::2])


def test_rows_without_a_mask_are_as_they_are(largest_allowed: Any) -> None:
    logits = rows_of(3, 100)
    bits = packed([7], 100)[None]
    best, at = largest_allowed(logits.clone(), bits, [-1, 0, -1], [True] * 3)
    assert at.tolist() == [logits[0].argmax().item(), 7, logits[2].argmax().item()]
    assert best.tolist() == [logits[0].max().item(), logits[1, 7].item(), logits[2].max().item()]


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
@pytest.mark.parametrize("token", [0, 17, 99])
def test_what_is_no_number_is_known_wherever_it_stands(bad: float, token: int, way: str) -> None:
    logits = rows_of(2, 100)
    logits[0, token] = bad
    choosers = [Chooser(GREEDY, []), Chooser(GREEDY, [])]
    tokens = sample(logits, choosers, masks_of({0: [17, 20], 1: [30]}, 100)).tokens
    assert tokens == [-1, 30]


def test_the_kernel_refuses_what_is_not_there(largest_allowed: Any) -> None:
    logits, bits = rows_of(2, 100), torch.zeros((1, 4), dtype=torch.int32)
    for places, clears in (([0, 1], [False] * 2), ([0], [False]), ([0, -2], [False] * 2)):
        with pytest.raises(RuntimeError):
            largest_allowed(logits, bits, places, clears)
    with pytest.raises(RuntimeError):
        largest_allowed(logits, bits[:, :3].contiguous(), [0, 0], [False] * 2)


def test_only_what_is_allowed_is_chosen_in_a_mixed_batch(way: str) -> None:
    allowed = {0: [3, 50, 77], 2: range(40, 90), 3: [9], 5: range(0, 100, 3)}
    logits = rows_of(6, 100)
    for place in range(60):
        choosers = [Chooser(SAMPLINGS[row % len(SAMPLINGS)], []) for row in range(6)]
        for chooser in choosers:
            chooser.generated = place
        tokens = sample(logits.clone(), choosers, masks_of(allowed, 100)).tokens
        assert all(token in allowed.get(row, range(100)) for row, token in enumerate(tokens))
        free = sample(logits.clone(), choosers).tokens
        assert [tokens[1], tokens[4]] == [free[1], free[4]]


def test_the_kernel_and_plain_operations_choose_the_same(largest_allowed: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = random.Random(2)
    for place in range(40):
        columns = rng.choice([90, 100, 257])
        logits = rows_of(8, columns) + place
        allowed = {row: rng.sample(range(columns), rng.choice([1, 2, columns // 2, columns])) for row in (0, 1, 3, 6)}
        choosers = [
            Chooser(SAMPLINGS[(row + place) % 4], [], frozenset(rng.sample(range(columns), 2))) for row in range(8)
        ]
        for chooser in choosers:
            chooser.seed, chooser.generated = place, place
        found = [sample(logits.clone(), choosers, masks_of(allowed, columns)).tokens]
        with monkeypatch.context() as patched:
            patched.setattr(sampler, "_kernel", lambda name, logits: None)
            found.append(sample(logits.clone(), choosers, masks_of(allowed, columns)).tokens)
        assert found[0] == found[1]


def test_logits_of_more_or_fewer_columns_than_the_tokenizer_has_tokens(way: str) -> None:
    """Those that are not there cannot be chosen, and a ban that leaves only them gives way."""
    chooser, banned = Chooser(GREEDY, []), Chooser(GREEDY, [], frozenset({5}))
    masks = masks_of({0: [5, 110, 127], 1: [5, 110, 127]}, 128)
    assert sample(rows_of(2, 100), [chooser, banned], masks).tokens == [5, 5]


def test_there_is_room_for_as_many_as_there_are() -> None:
    masks = Masks(64)
    for row in range(40):
        masks.add(row, lambda words, row=row: words.fill_(row))  # type: ignore[misc]
    assert masks.bits.tolist() == [[row, row] for row in range(40)]
    masks.clear()
    assert masks.bits.shape == (0, 2)


def test_one_that_cannot_be_filled_is_not_there() -> None:
    def fail(words: torch.Tensor) -> None:
        words.fill_(1)
        raise ValueError("no grammar")

    masks = masks_of({0: [1]}, 32)
    with pytest.raises(ValueError, match="no grammar"):
        masks.add(1, fail)
    assert masks.rows == [0]
    assert masks.bits.tolist() == [[2]]
