"""The body of POST /v1/completions: every field of OpenAI's legacy completion request, and ours."""

from typing import Annotated

from msgspec import Meta

from omnipipe.gateway.openai import scalars
from omnipipe.gateway.openai.chat_request import StreamOptions
from omnipipe.gateway.openai.response_format import ResponseFormat

__all__ = ["CompletionRequest", "Prompt"]

Prompt = str | Annotated[list[str | scalars.Token | scalars.Tokens], Meta(min_length=1, max_length=scalars.MAX_TOKENS)]
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
    max_tokens: scalars.MaxOrNoTokens | None = None
    user: str | None = None

    top_k: scalars.TopK | None = None
    min_p: scalars.MinP | None = None
    repetition_penalty: scalars.Repetition | None = None
    min_tokens: scalars.MinTokens | None = None
    ignore_eos: bool | None = None
    stop_token_ids: scalars.StopTokens | None = None
    response_format: ResponseFormat | None = None
    """Extension: as a chat has it."""
    guided_json: scalars.GuidedJson | None = None
    guided_regex: scalars.GuidedRegex | None = None
    guided_choice: scalars.GuidedChoice | None = None
    guided_grammar: scalars.GuidedGrammar | None = None

    request_id: scalars.RequestId | None = None
    timeout: scalars.Timeout | None = None
    stage_params: scalars.StageParams | None = None
    events: bool | None = None
