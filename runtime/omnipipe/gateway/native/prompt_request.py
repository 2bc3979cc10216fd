"""The JSON body of POST /generate: a prompt to go on with, as Diffulex has it."""

from typing import Annotated, Literal

from msgspec import Meta

from omnipipe.gateway.openai import scalars

__all__ = ["PromptBody"]


class PromptBody(scalars.Body, frozen=True, kw_only=True):
    model: scalars.ModelName | None = None
    """Extension; may be left out where one model is served."""
    prompt: str | scalars.Tokens
    max_tokens: scalars.MaxTokens | None = None
    temperature: scalars.Temperature | None = None
    ignore_eos: bool | None = None
    max_nfe: Annotated[int, Meta(ge=1, le=2**31 - 1)] | None = None
    """Of models that denoise: forward passes at most."""
    max_repetition_run: Annotated[int, Meta(ge=1, le=2**31 - 1)] | None = None
    """The same: end when a token comes so many times in a row."""
    stream: bool | None = None
    stream_mode: Literal["block_append", "denoise"] | None = None
    user: str | None = None

    top_p: scalars.TopP | None = None
    top_k: scalars.TopK | None = None
    min_p: scalars.MinP | None = None
    frequency_penalty: scalars.Penalty | None = None
    presence_penalty: scalars.Penalty | None = None
    repetition_penalty: scalars.Repetition | None = None
    seed: scalars.Int64 | None = None
    stop: scalars.Stop | None = None
    stop_token_ids: scalars.StopTokens | None = None
    min_tokens: scalars.MinTokens | None = None

    request_id: scalars.RequestId | None = None
    timeout: scalars.Timeout | None = None
    stage_params: scalars.StageParams | None = None
    events: bool | None = None
