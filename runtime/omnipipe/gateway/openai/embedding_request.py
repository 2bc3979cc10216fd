"""The body of POST /v1/embeddings."""

from typing import Annotated, Literal

from msgspec import Meta

from omnipipe.gateway.openai import scalars

__all__ = ["EmbeddingInput", "EmbeddingRequest"]

_Text = Annotated[str, Meta(min_length=1)]

EmbeddingInput = (
    _Text | Annotated[list[_Text | scalars.Token | scalars.Tokens], Meta(min_length=1, max_length=scalars.MAX_TOKENS)]
)
"""A text, several (at most scalars.MAX_ITEMS), one as tokens, or several as tokens."""


class EmbeddingRequest(scalars.Body, frozen=True, kw_only=True):
    model: scalars.ModelName
    input: EmbeddingInput
    encoding_format: Literal["float", "base64"] | None = None
    dimensions: Annotated[int, Meta(ge=1, le=65_536)] | None = None
    user: str | None = None

    request_id: scalars.RequestId | None = None
    timeout: scalars.Timeout | None = None
    stage_params: scalars.StageParams | None = None
    events: bool | None = None
