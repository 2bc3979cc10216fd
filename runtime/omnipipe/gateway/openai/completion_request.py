"""The body of POST /v1/completions: every field of OpenAI's legacy completion request, and ours."""

from typing import Annotated

from msgspec import Meta

from omnipipe.gateway.openai import scalars
from omnipipe.gateway.openai.chat_request import StreamOptions

__all__ = ["CompletionRequest", "Prompt"]

_Token = Annotated[int, Meta(ge=0, le=2**31 - 1)]

Prompt = str | Annotated[list[str | _Token | Annotated[list[_Token], Meta(min_length=1)]], Meta(min_length=1)]
"""A text, several, one as tokens, or several as tokens."""


class CompletionRequest(scalars.Body, frozen=True, kw_only=True):
    model: scalars.ModelName
    prompt: Prompt
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    echo: bool | None = None
    suffix: str | None = None
    n: scalars.Choices | None = None
    best_of: Annotated[int, Meta(ge=1, le=20)] | None = None

    temperature: scalars.Temperature | None = None
    top_p: scalars.TopP | None = None
    frequency_penalty: scalars.Penalty | None = None
    presence_penalty: scalars.Penalty | None = None
    logit_bias: scalars.Bias | None = None
    logprobs: scalars.LegacyLogprobs | None = None
    seed: scalars.Int64 | None = None
    stop: scalars.Stop | None = None
    max_tokens: scalars.MaxTokens | None = None
    user: str | None = None

    request_id: scalars.RequestId | None = None
    timeout: scalars.Timeout | None = None
    stage_params: scalars.StageParams | None = None
    events: bool | None = None
