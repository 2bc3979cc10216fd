"""Embeddings: inputs in all their forms, vectors as numbers and as base64, what they took."""

import base64
import json
from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import pytest
from openai.types import CreateEmbeddingResponse
from openai.types.embedding_create_params import EmbeddingCreateParams
from tests.unit.gateway.pipelines import LIMITS, EverythingRequests, served

from omnipipe.coordinator.flight import Piece
from omnipipe.errors import ErrorKind, RequestError
from omnipipe.families.requests import EmbedRequest
from omnipipe.gateway.openai.embedding import EmbeddingAnswer, embedding_order
from omnipipe.gateway.openai.embedding_request import EmbeddingRequest
from omnipipe.gateway.openai.order import WholeOrder
from omnipipe.gateway.openai.parse import BodyParser
from omnipipe.wire.value import Tensor, Value

PARSE = BodyParser(EmbeddingRequest)
VECTORS = np.array([[0.5, -1.0, 3.4028235e38], [1e-45, 0.1, 0.0]], np.float32)


def order(family: EverythingRequests | None = None, **fields: Any) -> WholeOrder:
    body = PARSE(msgspec.json.encode({"model": "echo", "input": "hello", **fields}))
    return embedding_order(body, served(requests=family or EverythingRequests()), "req", 0, LIMITS)


def refused(**fields: Any) -> RequestError:
    with pytest.raises(RequestError) as caught:
        order(**fields)
    assert caught.value.kind is ErrorKind.INVALID
    return caught.value


def pieces(vectors: npt.NDArray[Any], **meta: Value) -> list[Piece]:
    """As a stage gives them."""
    found = [Piece("embedding", Tensor.from_numpy(vector), False, None) for vector in vectors]
    found[-1].last, found[-1].meta = True, {"usage": {"prompt_tokens": 7}, **meta}
    return found


async def body(count: int, base64: bool, found: Sequence[Piece]) -> Any:
    answer = EmbeddingAnswer("m", count, base64)
    answer.keep(found)
    return json.loads(await answer.body())


def test_every_field_of_the_installed_sdk_is_known() -> None:
    known = {field.name for field in msgspec.structs.fields(EmbeddingRequest)}
    theirs = EmbeddingCreateParams.__required_keys__ | EmbeddingCreateParams.__optional_keys__
    assert known - theirs == {"request_id", "timeout", "stage_params", "events"}
    assert theirs <= known


@pytest.mark.parametrize(
    ("given", "inputs"),
    [
        ("a", ("a",)),
        (["a", "b"], ("a", "b")),
        ([1, 2, 3], ((1, 2, 3),)),
        ([[1], [2, 3]], ((1,), (2, 3))),
        (["x"] * 2048, ("x",) * 2048),
        (list(range(5000)), (tuple(range(5000)),)),
    ],
)
def test_inputs_reach_the_family(given: Any, inputs: tuple[Any, ...]) -> None:
    family = EverythingRequests()
    request = order(family, input=given, dimensions=64, user="someone").request
    assert family.heard == [EmbedRequest(inputs, 64)]
    assert request.outputs == {"embedding"}


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"input": ""}, "input"),
        ({"input": []}, "input"),
        ({"input": ["a", ""]}, "input[1]"),
        ({"input": [[]]}, "input[0]"),
        ({"input": ["a", 1]}, "input"),
        ({"input": ["a", [1]]}, "input"),
        ({"input": [1, [1]]}, "input"),
        ({"input": ["x"] * 2049}, "input"),
        ({"input": [-1]}, "input[0]"),
        ({"dimensions": 0}, "dimensions"),
        ({"encoding_format": "hex"}, "encoding_format"),
        ({"colour": "red"}, "colour"),
        ({"stage_params": {"nobody": {}}}, "stage_params.nobody"),
    ],
)
def test_what_is_wrong_with_the_inputs_is_named(fields: dict[str, Any], param: str) -> None:
    assert refused(**fields).param == param


async def test_vectors_as_numbers_are_what_the_sdk_types() -> None:
    found = await body(2, False, pieces(VECTORS))
    answer = CreateEmbeddingResponse.model_validate(found, strict=True)
    assert [np.array(item.embedding, np.float32).tolist() for item in answer.data] == VECTORS.tolist()
    assert [item.index for item in answer.data] == [0, 1]
    assert found["usage"] == {"prompt_tokens": 7, "total_tokens": 7}


async def test_vectors_as_base64_are_little_endian_floats() -> None:
    found = await body(2, True, pieces(VECTORS))
    decoded = [np.frombuffer(base64.b64decode(item["embedding"]), "<f4").tolist() for item in found["data"]]
    assert decoded == VECTORS.tolist()


async def test_a_large_batch_is_whole() -> None:
    found = await body(300, False, pieces(np.ones((300, 1000), np.float32)))
    assert [item["index"] for item in found["data"]] == list(range(300))


@pytest.mark.parametrize(
    ("found", "count"),
    [
        (pieces(VECTORS), 3),
        (pieces(VECTORS.astype(np.float64)), 2),
        (pieces(VECTORS[None]), 1),
        ([Piece("embedding", [0.5], True, {})], 1),
    ],
)
async def test_what_a_stage_should_not_give_is_its_mistake(found: list[Piece], count: int) -> None:
    with pytest.raises(TypeError, match="an embedding output gave"):
        await body(count, False, found)
