"""POST /v1/embeddings: from the body to an order, and from vectors to the answer."""

import asyncio
import binascii
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, cast

import msgspec

from omnipipe.coordinator.flight import Piece
from omnipipe.families.requests import EmbedRequest, EmbedRequests
from omnipipe.families.text_pieces import EMBEDDING_OUTPUT
from omnipipe.gateway.openai import scalars
from omnipipe.gateway.openai.answer import Tally, encode
from omnipipe.gateway.openai.capability import require
from omnipipe.gateway.openai.embedding_request import EmbeddingInput, EmbeddingRequest
from omnipipe.gateway.openai.order import Limits, WholeOrder, entry, submissions
from omnipipe.gateway.openai.refusals import invalid
from omnipipe.gateway.openai.usage import usage_of
from omnipipe.gateway.served import Served
from omnipipe.wire.value import Tensor, Value

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

__all__ = ["EmbeddingAnswer", "EmbeddingList", "embedding_order"]

_BREATH_FLOATS = 32_768
"""Encoded as text in about 2 ms; then others have their turn on the event loop."""


class Embedding(msgspec.Struct, frozen=True):
    object: Literal["embedding"]
    index: int
    embedding: list[float] | str
    """With `base64`: 32 bit little-endian floats."""


class EmbeddingUsage(msgspec.Struct, frozen=True):
    prompt_tokens: int
    total_tokens: int


class EmbeddingList(msgspec.Struct, frozen=True):
    object: Literal["list"]
    data: list[Embedding]
    model: str
    usage: EmbeddingUsage


def embedding_order(body: EmbeddingRequest, served: Served, request_id: str, now_s: int, limits: Limits) -> WholeOrder:
    require("embed", served)
    inputs = _inputs(body.input)
    family = cast(EmbedRequests, served.requests)
    made = entry(family.entry_embed, EmbedRequest(inputs, body.dimensions))
    (request,) = submissions(body, served, request_id, [(made, frozenset({EMBEDDING_OUTPUT}))], limits)
    return WholeOrder(served, request, EmbeddingAnswer(served.name, len(inputs), body.encoding_format == "base64"))


def _inputs(given: EmbeddingInput) -> tuple[str | tuple[int, ...], ...]:
    if isinstance(given, str):
        return (given,)
    tokens = tuple([item for item in given if isinstance(item, int)])
    if len(tokens) == len(given):
        return (tokens,)
    inputs = tuple([tuple(item) if isinstance(item, list) else item for item in given if not isinstance(item, int)])
    if tokens or len({type(item) for item in inputs}) > 1:
        raise invalid("'input' must be all texts, all tokens or all lists of tokens.", "input", "invalid_type")
    if len(inputs) > scalars.MAX_ITEMS:
        raise invalid(f"'input' must have at most {scalars.MAX_ITEMS} items; this one has {len(inputs)}.", "input")
    return inputs


class EmbeddingAnswer:
    """Vectors are encoded a few at a time: a batch is millions of floats, and the event loop has streams to serve."""

    def __init__(self, model: str, count: int, base64: bool) -> None:
        """`count`: of inputs, and so of vectors."""
        self.tally = Tally()
        self._model = model
        self._count = count
        self._base64 = base64
        self._vectors: list[npt.NDArray[np.float32]] = []

    def keep(self, pieces: Sequence[Piece]) -> None:
        for piece in pieces:
            if piece.value is not None:
                self._vectors.append(_vector(piece.value))
            if piece.last and piece.meta:
                self.tally.usage = usage_of(piece.meta)
        if len(self._vectors) != self._count:
            raise TypeError(f"an embedding output gave {len(self._vectors)} vectors for {self._count} inputs")

    async def body(self) -> bytes:
        parts = [b'{"object":"list","data":[']
        since = 0
        for index, vector in enumerate(self._vectors):
            comma = b"," if index else b""
            parts.append(b'%b{"object":"embedding","index":%d,"embedding":%b}' % (comma, index, self._shown(vector)))
            since += vector.size
            if since >= _BREATH_FLOATS:
                since = 0
                await asyncio.sleep(0)
        prompt = self.tally.usage.prompt_tokens if self.tally.usage else 0
        parts.append(b'],"model":%b,"usage":%b}' % (encode(self._model), encode(EmbeddingUsage(prompt, prompt))))
        return b"".join(parts)

    def _shown(self, vector: "npt.NDArray[np.float32]") -> bytes:
        if self._base64:
            return b'"%b"' % binascii.b2a_base64(vector.tobytes(), newline=False)
        return encode(vector.tolist())


def _vector(value: Value) -> "npt.NDArray[np.float32]":
    if not isinstance(value, Tensor) or value.dtype != "f32" or len(value.shape) != 1:
        raise TypeError(f"an embedding output gave {value!r}, not a vector of f32")
    return value.numpy()
