"""The bounded field types that the request schemas share: OpenAI's own ranges, and ours where it names none.

They are both what the decoder enforces and what the OpenAPI document says, so the two cannot differ.
"""

from typing import Annotated, Any

from msgspec import Meta, Struct

__all__ = [
    "Bias",
    "Body",
    "Choices",
    "Int64",
    "LegacyLogprobs",
    "MaxTokens",
    "Metadata",
    "ModelName",
    "Name",
    "Penalty",
    "RequestId",
    "SafetyId",
    "StageParams",
    "Stop",
    "Temperature",
    "Timeout",
    "TopLogprobs",
    "TopP",
]


class Body(Struct, frozen=True, forbid_unknown_fields=True):
    """The base of every object that a client sends: unknown fields are refused, never dropped."""


Temperature = Annotated[float, Meta(ge=0, le=2)]
TopP = Annotated[float, Meta(ge=0, le=1)]
Penalty = Annotated[float, Meta(ge=-2, le=2)]
Choices = Annotated[int, Meta(ge=1, le=128)]
MaxTokens = Annotated[int, Meta(ge=1, le=2**31 - 1)]
TopLogprobs = Annotated[int, Meta(ge=0, le=20)]
LegacyLogprobs = Annotated[int, Meta(ge=0, le=5)]
Int64 = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
Bias = dict[str, Annotated[int, Meta(ge=-100, le=100)]]
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
StageParams = Annotated[
    dict[str, dict[str, Any]],
    Meta(description="Extension: options for single stages of the pipeline, by stage name."),
]
