"""Vectors out of a real stage equal those of a few plain lines of transformers, whatever else is in the batch."""

import asyncio
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.integration.families.embed.encoders import DENSE_SIZE, LONGEST, SIZE, WORDS, dense, save
from tests.integration.families.llm.serving import START_S, answer, connected, running
from transformers import PreTrainedTokenizerFast

from omnipipe.coordinator.coordinator import Coordinator
from omnipipe.errors import RequestError
from omnipipe.families.embed.requests import EmbeddingRequests
from omnipipe.families.requests import EmbedRequest
from omnipipe.spec.plan import Plan

pytestmark = pytest.mark.timeout(400)  # torch and transformers are imported by a process of its own


class Case:
    def __init__(self, rule: str, folder: Path, model: Any, tokenizer: PreTrainedTokenizerFast, plan: Plan) -> None:
        self.rule = rule
        self.size = DENSE_SIZE if rule == "dense" else SIZE
        self._folder = folder
        self.tokenizer = tokenizer
        self.plan = plan
        self._model = model
        self.longest = 64 if rule == "nothing" else LONGEST

    def expected(self, tokens: list[int]) -> Any:
        with torch.no_grad():
            states = self._model(input_ids=torch.tensor([tokens])).last_hidden_state[0]
        match self.rule:
            case "cls":
                pooled = states[0]
            case "last":
                pooled = states[-1]
            case "dense":
                pooled = dense(self._folder, states.mean(dim=0))
            case _:
                return states.mean(dim=0).numpy()
        return (pooled / pooled.norm()).numpy()


@pytest.fixture(scope="module", params=["cls", "nothing", "last", "dense"])
def case(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Case]:
    folder = tmp_path_factory.mktemp("embed")
    model, tokenizer = save(folder / "model", request.param)
    with running(folder, folder / "model", "embed", step_tokens=90) as plan:
        yield Case(request.param, folder / "model", model, tokenizer, plan)


async def embed(coordinator: Coordinator, *inputs: Any, dimensions: int | None = None) -> tuple[list[Any], int]:
    """Vectors, and the tokens counted."""
    entry = EmbeddingRequests().entry_embed(EmbedRequest(tuple(inputs), dimensions))
    async with asyncio.timeout(START_S):
        pieces = await answer(coordinator, entry, frozenset({"embedding"}))
    assert [piece.last for piece in pieces] == [False] * (len(inputs) - 1) + [True]
    assert pieces[-1].meta is not None
    return [piece.value.numpy() for piece in pieces], pieces[-1].meta["usage"]["prompt_tokens"]


async def test_vectors_are_those_of_transformers_in_any_batch(case: Case) -> None:
    chance = random.Random(4)
    texts = [" ".join(chance.choices(WORDS, k=chance.randint(1, 5))) for _ in range(90)]
    async with connected(case.plan) as coordinator:
        many, *few = await asyncio.gather(
            embed(coordinator, *texts), *(embed(coordinator, text) for text in texts[:12])
        )
    vectors, counted = many
    tokens = [case.tokenizer(text).input_ids for text in texts]
    assert counted == sum(map(len, tokens))
    for index, vector in enumerate(vectors):
        assert vector.dtype == np.float32
        np.testing.assert_allclose(vector, case.expected(tokens[index]), atol=1e-5)
    for index, ((vector,), _) in enumerate(few):
        np.testing.assert_allclose(vector, vectors[index], atol=1e-5)


async def test_tokens_in_and_fewer_dimensions_out(case: Case) -> None:
    tokens = case.tokenizer("quick brown fox").input_ids
    async with connected(case.plan) as coordinator:
        (whole, again), _ = await embed(coordinator, "quick brown fox", tuple(tokens))
        (short,), _ = await embed(coordinator, tuple(tokens), dimensions=8)
    np.testing.assert_allclose(whole, again, atol=1e-6)
    assert short.shape == (8,)
    np.testing.assert_allclose(short, whole[:8] / np.linalg.norm(whole[:8]), atol=1e-5)


async def test_what_cannot_be_embedded_is_refused_by_name(case: Case) -> None:
    async with connected(case.plan) as coordinator:
        for inputs, dimensions, param, code in (
            (("fine", "dog " * 200), None, "input", "context_length_exceeded"),
            (("fine",), case.size + 1, "dimensions", "invalid_value"),
            (((1, 10**6),), None, "input", "invalid_value"),
        ):
            with pytest.raises(RequestError) as caught:
                await embed(coordinator, *inputs, dimensions=dimensions)
            assert (caught.value.param, caught.value.code) == (param, code)
            if code == "context_length_exceeded":
                assert f"maximum context length is {case.longest} tokens" in caught.value.message
        fits: tuple[int, ...] = (5,) * case.longest
        (vector,), counted = await embed(coordinator, fits)
    assert (vector.shape, counted) == ((case.size,), case.longest)
