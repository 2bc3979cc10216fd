"""The bounded field types that the request schemas share: OpenAI's own ranges, and ours where it names none.

They are both what the decoder enforces and what the OpenAPI document says, so the two cannot differ.
"""

from typing import Annotated, Any

from msgspec import Meta, Struct

__all__ = [
    "MAX_ITEMS",
    "MAX_TOKENS",
    "Bias",
    "Body",
    "Choices",
    "Frames",
    "FramesPerSecond",
    "GuidedChoice",
    "GuidedGrammar",
    "GuidedJson",
    "GuidedRegex",
    "Int64",
    "LegacyLogprobs",
    "MaxOrNoTokens",
    "MaxTokens",
    "Metadata",
    "MinP",
    "MinTokens",
    "ModelName",
    "Name",
    "Penalty",
    "Pixels",
    "References",
    "Repetition",
    "RequestId",
    "SafetyId",
    "StageParams",
    "Stop",
    "StopTokens",
    "Temperature",
    "TemplateKwargs",
    "Timeout",
    "Token",
    "Tokens",
    "TopK",
    "TopLogprobs",
    "TopP",
]

MAX_ITEMS = 2048
"""Messages, parts of one, texts to embed: OpenAI's own limit. Many small values are what takes the gateway longest."""
MAX_TOKENS = 1 << 20
"""In one list: more than any model takes."""


class Body(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, repr_omit_defaults=True):
    """The base of every object that a client sends: unknown fields are refused, never dropped. What goes on to a family
    holds only what the client set, for chat templates show a tool as it is."""

    def given(self) -> list[tuple[str, Any]]:
        """The fields that the client set to something. Of some eighty that a chat may have, few are: what a debugger is
        shown has left out the others, without Python looking at each."""
        return self.__rich_repr__()


Temperature = Annotated[float, Meta(ge=0, le=2)]
TopP = Annotated[float, Meta(ge=0, le=1)]
Penalty = Annotated[float, Meta(ge=-2, le=2)]
Choices = Annotated[int, Meta(ge=1, le=128)]
MaxTokens = Annotated[int, Meta(ge=1, le=2**31 - 1)]
MaxOrNoTokens = Annotated[int, Meta(ge=0, le=2**31 - 1)]
TopLogprobs = Annotated[int, Meta(ge=0, le=20)]
LegacyLogprobs = Annotated[int, Meta(ge=0, le=5)]
Int64 = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
Token = Annotated[int, Meta(ge=0, le=2**31 - 1)]
Tokens = Annotated[list[Token], Meta(min_length=1, max_length=MAX_TOKENS)]
Bias = Annotated[
    dict[Annotated[str, Meta(pattern=r"^[0-9]{1,10}$")], Annotated[int, Meta(ge=-100, le=100)]], Meta(max_length=1024)
]
"""Token id -> what is added to its logit."""
Stop = str | Annotated[list[str], Meta(min_length=1, max_length=4)]
Metadata = Annotated[
    dict[Annotated[str, Meta(max_length=64)], Annotated[str, Meta(max_length=512)]], Meta(max_length=16)
]
SafetyId = Annotated[str, Meta(max_length=512)]
Name = Annotated[str, Meta(pattern=r"^[a-zA-Z0-9_-]{1,64}$")]
ModelName = Annotated[str, Meta(min_length=1, max_length=256, description="A model that `GET /v1/models` lists.")]

RequestId = Annotated[
    str,
    Meta(
        pattern=r"^[A-Za-z0-9._:-]{1,128}$",
        description="Extension: what logs, events and `x-request-id` call this request.",
    ),
]
Timeout = Annotated[
    float,
    Meta(
        gt=0,
        le=86_400,
        description="Extension: seconds after which this request fails with 504; the server's own limit holds as well.",
    ),
]
TopK = Annotated[int, Meta(ge=-1, le=2**31 - 1, description="Extension: of the likeliest so many; 0 or -1: of all.")]
MinP = Annotated[float, Meta(ge=0, le=1, description="Extension: at least so likely, beside the likeliest.")]
Repetition = Annotated[float, Meta(gt=0, le=10, description="Extension: 1 changes nothing, more repeats less.")]
MinTokens = Annotated[int, Meta(ge=0, le=2**31 - 1, description="Extension: no end before so many tokens.")]
StopTokens = Annotated[list[Token], Meta(max_length=128, description="Extension: ids of tokens that end the text.")]
GuidedChoice = Annotated[
    list[str], Meta(min_length=1, max_length=1024, description="Extension: the text is one of these.")
]
GuidedJson = (
    dict[str, Any]
    | Annotated[str, Meta(max_length=262_144, description="Extension: the text is JSON of this schema, or its text.")]
)
GuidedRegex = Annotated[str, Meta(max_length=16_384, description="Extension: the text matches this.")]
GuidedGrammar = Annotated[str, Meta(max_length=262_144, description="Extension: the text is of this grammar.")]
References = Annotated[
    list[Annotated[str, Meta(min_length=1)]],
    Meta(
        min_length=1,
        max_length=64,
        description="Extension: media by URL or as base64, put before what the last user message says.",
    ),
]
Pixels = Annotated[int, Meta(ge=1, le=2**31 - 1, description="Extension: of a picture after resizing.")]
Frames = Annotated[int, Meta(ge=1, le=2**20, description="Extension: so many frames of a video at most.")]
FramesPerSecond = Annotated[float, Meta(gt=0, le=1000, description="Extension: frames looked at of a video's second.")]
TemplateKwargs = Annotated[dict[str, Any], Meta(description="Extension: what the model's chat template is given.")]
StageParams = Annotated[
    dict[str, dict[str, Any]],
    Meta(description="Extension: options for single stages of the pipeline, by stage name."),
]
