"""What the embed family makes of a client's request before anything runs."""

import pytest

from omnipipe.errors import ErrorKind, RequestError
from omnipipe.families.embed.requests import EmbeddingRequests
from omnipipe.families.requests import EmbedRequest, EmbedRequests, Requests, TextRequest


def test_texts_and_tokens_go_to_the_stage() -> None:
    family: EmbedRequests = EmbeddingRequests()

    assert family.entry_embed(EmbedRequest(("a", (1, 2)), 8)).value == {
        "kind": "embed",
        "inputs": ["a", [1, 2]],
        "dimensions": 8,
    }


@pytest.mark.parametrize(
    ("request_", "param"),
    [
        (EmbedRequest(()), "input"),
        (EmbedRequest(("a", "")), "input"),
        (EmbedRequest(("a", ())), "input"),
        (EmbedRequest(("a",), 0), "dimensions"),
    ],
)
def test_what_is_empty_is_refused(request_: EmbedRequest, param: str) -> None:
    with pytest.raises(RequestError) as caught:
        EmbeddingRequests().entry_embed(request_)
    assert (caught.value.kind, caught.value.param) == (ErrorKind.INVALID, param)


def test_it_says_nothing() -> None:
    family: Requests = EmbeddingRequests()

    assert family.capabilities == {"embed"}
    with pytest.raises(RequestError, match="/v1/embeddings"):
        family.entry(TextRequest("chat", (), frozenset()))
    with pytest.raises(RequestError):
        family.check_stage_params("embed", {"pooling": "cls"})
