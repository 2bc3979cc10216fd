"""Prompts in all their forms, echo, and the best of several."""

from typing import Any

import pytest
from tests.unit.gateway.pipelines import EverythingRequests, SamplingRequests, served
from tests.unit.gateway.test_orders import completion, refused

from omnipipe.families.requests import TextRequest


def heard(**fields: Any) -> list[TextRequest]:
    family = EverythingRequests()
    completion(served(requests=family), **fields)
    return [request for request in family.heard if isinstance(request, TextRequest)]


@pytest.mark.parametrize(
    ("prompt", "tokens"),
    [([1, 2], [(1, 2)]), ([[1], [2, 3]], [(1,), (2, 3)]), ([0], [(0,)]), ([2**31 - 1], [(2**31 - 1,)])],
)
def test_prompts_as_tokens_reach_a_model_that_knows_its_tokens(prompt: Any, tokens: list[tuple[int, ...]]) -> None:
    requests = heard(prompt=prompt)
    assert [request.tokens for request in requests] == tokens
    assert all(request.messages == () for request in requests)


@pytest.mark.parametrize("prompt", [["a", "b"], "a"])
def test_prompts_as_texts_are_one_request_each(prompt: Any) -> None:
    requests = heard(prompt=prompt)
    assert [request.messages[0].parts[0].text for request in requests] == list(prompt)
    assert all(request.tokens is None for request in requests)


@pytest.mark.parametrize("prompt", [["a", 1], ["a", [1]], [1, [1]], [[1], 1, "a"], [], [[]], [-1], {"a": 1}, 7])
def test_prompts_that_are_neither_are_refused(prompt: Any) -> None:
    error = refused(completion, served(requests=EverythingRequests()), prompt=prompt)
    assert (error.param or "").startswith("prompt")


def test_a_model_that_knows_its_tokens_echoes_them_itself() -> None:
    (request,) = heard(prompt=[1, 2], echo=True)
    assert request.options == {"echo": True}
    (request,) = heard(prompt="a", echo=False)
    assert request.options == {}
    (request,) = heard(prompt=[1, 2], echo=True, logprobs=2, max_tokens=0)
    assert request.options == {"echo": True, "logprobs": 2, "max_tokens": 0}


def test_the_best_of_several_are_made_with_logprobs_and_seeds_of_their_own() -> None:
    requests = heard(n=1, best_of=3, seed=5)
    assert [request.options for request in requests] == [{"seed": 5 + index, "logprobs": 0} for index in range(3)]
    assert [request.options for request in heard(n=2, best_of=3, logprobs=4)] == [{"logprobs": 4}] * 3


def test_the_best_of_as_many_are_all_of_them() -> None:
    assert [request.options for request in heard(n=2, best_of=2)] == [{}, {}]


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"n": 3, "best_of": 2}, "best_of"),
        ({"best_of": 2, "stream": True}, "best_of"),
        ({"best_of": 2, "echo": True}, "best_of"),
        ({"best_of": 20}, "n"),
        ({"best_of": 21}, "best_of"),
        ({"best_of": 0}, "best_of"),
        ({"logprobs": 6}, "logprobs"),
        ({"suffix": "x", "min_tokens": 2, "max_tokens": 1}, "min_tokens"),
    ],
)
def test_what_a_completion_cannot_be_asked_is_named(fields: dict[str, Any], param: str) -> None:
    assert refused(completion, served(requests=EverythingRequests()), **fields).param == param


def test_the_best_of_several_needs_a_model_with_logprobs() -> None:
    class Plain(SamplingRequests):
        options = frozenset({"n"})

    error = refused(completion, served(requests=Plain()), best_of=2)
    assert (error.param, error.code) == ("best_of", "unsupported_parameter")
