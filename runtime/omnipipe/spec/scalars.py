"""The manifest's scalar types: what a name, a URL or a number of seconds may be, with its bounds.

Each pattern has its meaning in words in `PATTERN_WORDS`, for nobody should have to read a regular expression to learn
why a name was refused.
"""

from typing import Annotated, Final

from pydantic import Field, PlainValidator, WithJsonSchema
from pydantic_core import PydanticCustomError

from omnipipe.spec.plan import ParamValue

__all__ = [
    "PATTERN_WORDS",
    "Annotation",
    "LabelKey",
    "LabelValue",
    "ModelName",
    "Namespace",
    "ParamName",
    "ParamScalar",
    "PipelineName",
    "PortName",
    "Seconds",
    "SourceUrl",
    "StageName",
    "TypeName",
]

_DNS: Final = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"
_SERVICE: Final = r"^[a-z]([-a-z0-9]*[a-z0-9])?$"
_NAME: Final = r"^[a-z][-_a-z0-9]*$"
_PARAM: Final = r"^[A-Za-z][A-Za-z0-9_]*$"
_MODEL: Final = r"^[A-Za-z0-9][-A-Za-z0-9._:/@]*$"
_SOURCE: Final = r"^[a-z][a-z0-9]*://[^\s]+$"
_LABEL_KEY: Final = r"^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$"
_LABEL_VALUE: Final = r"^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$"

PATTERN_WORDS: Final[dict[str, str]] = {
    _DNS: "must be lowercase letters, digits and '-', beginning and ending with a letter or digit",
    _SERVICE: "must be lowercase letters, digits and '-', beginning with a letter, for its Services are named after it",
    _NAME: "must be lowercase letters, digits, '-' and '_', beginning with a letter",
    _PARAM: "must be letters, digits and '_', beginning with a letter",
    _MODEL: "must be letters, digits and any of - . _ : / @, beginning with a letter or digit",
    _SOURCE: "must be scheme://location, such as hf://Qwen/Qwen3-0.6B",
    _LABEL_KEY: "must be a Kubernetes label key: an optional prefix and '/', then letters, digits, '-', '_' and '.'",
    _LABEL_VALUE: "must be a Kubernetes label value: letters, digits, '-', '_' and '.'",
}

PipelineName = Annotated[str, Field(min_length=1, max_length=30, pattern=_SERVICE)]
Namespace = Annotated[str, Field(min_length=1, max_length=63, pattern=_DNS)]
StageName = Annotated[str, Field(min_length=1, max_length=20, pattern=_DNS)]
TypeName = Annotated[str, Field(min_length=1, max_length=63, pattern=_NAME)]
PortName = Annotated[str, Field(min_length=1, max_length=40, pattern=_NAME)]
ParamName = Annotated[str, Field(min_length=1, max_length=63, pattern=_PARAM)]
ModelName = Annotated[str, Field(min_length=1, max_length=128, pattern=_MODEL)]
SourceUrl = Annotated[str, Field(min_length=1, max_length=1024, pattern=_SOURCE)]
LabelKey = Annotated[str, Field(min_length=1, max_length=317, pattern=_LABEL_KEY)]
LabelValue = Annotated[str, Field(max_length=63, pattern=_LABEL_VALUE)]
Annotation = Annotated[str, Field(max_length=65536)]
Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]


def _scalar(value: object) -> ParamValue:
    if isinstance(value, bool | int | float | str):
        if isinstance(value, str) and len(value) > 4096:
            raise PydanticCustomError("param_long", "must be at most 4096 characters long")
        return value
    raise PydanticCustomError("param_kind", "must be a number, a string, true or false")


ParamScalar = Annotated[
    ParamValue, PlainValidator(_scalar), WithJsonSchema({"x-kubernetes-preserve-unknown-fields": True})
]
"""A stage option. The family's `ParamType` checks it further."""
