"""The manifest's scalar types: what a name, a URL or a number of seconds may be, with its bounds.

Each pattern has its meaning in words in `PATTERN_WORDS`, for nobody should have to read a regular expression to learn
why a name was refused.
"""

from ipaddress import ip_network
from typing import Annotated, Final

from pydantic import AfterValidator, BeforeValidator, Field, PlainValidator, WithJsonSchema
from pydantic_core import PydanticCustomError

from omnipipe.spec.plan import ParamValue

__all__ = [
    "PATTERN_WORDS",
    "RESERVED_STAGES",
    "SOURCE_PATTERN",
    "Annotation",
    "Duration",
    "EnvName",
    "FolderPath",
    "HostPattern",
    "Hostname",
    "ImageRef",
    "LabelKey",
    "LabelValue",
    "ModelName",
    "Namespace",
    "NetworkRange",
    "NewStageName",
    "ObjectName",
    "ParamName",
    "ParamScalar",
    "PipelineName",
    "PortName",
    "Quantity",
    "ResourceName",
    "Seconds",
    "SecretEntry",
    "SourceUrl",
    "StageName",
    "TypeName",
]

_DNS: Final = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"
_SERVICE: Final = r"^[a-z]([-a-z0-9]*[a-z0-9])?$"
_NAME: Final = r"^[a-z][-_a-z0-9]*$"
_PARAM: Final = r"^[A-Za-z][A-Za-z0-9_]*$"
_MODEL: Final = r"^[A-Za-z0-9][-A-Za-z0-9._:/@]*$"
SOURCE_PATTERN: Final = r"^[a-z][a-z0-9]*://[^\s]+$"
_LABEL_KEY: Final = r"^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$"
_LABEL_VALUE: Final = r"^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$"
_OBJECT: Final = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"
_HOST: Final = r"^(\*\.)?[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"
_HOSTS: Final = r"^(\*|(\*\.)?[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*)$"
_NETWORK: Final = r"^[0-9a-fA-F:.]{2,45}/[0-9]{1,3}$"
_FOLDER: Final = r"^/[^\x00]*$"
_ENV: Final = r"^[A-Za-z_][A-Za-z0-9_]*$"
_ENTRY: Final = r"^[-A-Za-z0-9_.]+$"
_IMAGE: Final = r"^[A-Za-z0-9][-A-Za-z0-9._:/@]*$"
_DURATION: Final = r"^[1-9][0-9]*(ms|s|m|h)$"
_QUANTITY: Final = r"^[0-9]+(\.[0-9]+)?(m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei|[eE][-+]?[0-9]{1,2})?$"

PATTERN_WORDS: Final[dict[str, str]] = {
    _DNS: "must be lowercase letters, digits and '-', beginning and ending with a letter or digit",
    _SERVICE: "must be lowercase letters, digits and '-', beginning with a letter and not ending with '-', for its "
    "Services are named after it",
    _NAME: "must be lowercase letters, digits, '-' and '_', beginning with a letter",
    _PARAM: "must be letters, digits and '_', beginning with a letter",
    _MODEL: "must be letters, digits and any of - . _ : / @, beginning with a letter or digit",
    SOURCE_PATTERN: "must be scheme://location, such as hf://Qwen/Qwen3-0.6B",
    _LABEL_KEY: "must be a Kubernetes label key: an optional prefix and '/', then letters, digits, '-', '_' and '.'",
    _LABEL_VALUE: "must be a Kubernetes label value: letters, digits, '-', '_' and '.'",
    _OBJECT: "must be the name of an object: lowercase letters, digits, '-' and '.'",
    _HOST: "must be a host name, such as models.example.com or *.example.com",
    _HOSTS: "must be a host name such as media.example.com, *.example.com for all below one, or * for all",
    _NETWORK: "must be a network in CIDR notation, such as 10.1.2.0/24",
    _FOLDER: "must be an absolute path, such as /srv/media",
    _ENV: "must be letters, digits and '_', beginning with no digit",
    _ENTRY: "must be letters, digits, '-', '_' and '.'",
    _IMAGE: "must be an image, such as registry.example.com/omnipipe-stage:1.0 or ...@sha256:...",
    _DURATION: "must be a whole number and its unit, such as 30s (ms, s, m, h)",
    _QUANTITY: "must be a quantity, such as 500m, 2 or 16Gi",
}

PipelineName = Annotated[str, Field(min_length=1, max_length=30, pattern=_SERVICE)]
Namespace = Annotated[str, Field(min_length=1, max_length=63, pattern=_DNS)]
StageName = Annotated[str, Field(min_length=1, max_length=20, pattern=_DNS)]
TypeName = Annotated[str, Field(min_length=1, max_length=63, pattern=_NAME)]
PortName = Annotated[str, Field(min_length=1, max_length=40, pattern=_NAME)]
ParamName = Annotated[str, Field(min_length=1, max_length=63, pattern=_PARAM)]
ModelName = Annotated[str, Field(min_length=1, max_length=128, pattern=_MODEL)]
SourceUrl = Annotated[str, Field(min_length=1, max_length=1024, pattern=SOURCE_PATTERN)]
LabelKey = Annotated[str, Field(min_length=1, max_length=317, pattern=_LABEL_KEY)]
LabelValue = Annotated[str, Field(max_length=63, pattern=_LABEL_VALUE)]
Annotation = Annotated[str, Field(max_length=65536)]
ObjectName = Annotated[str, Field(min_length=1, max_length=253, pattern=_OBJECT)]
ResourceName = Annotated[str, Field(min_length=1, max_length=317, pattern=_LABEL_KEY)]
Hostname = Annotated[str, Field(min_length=1, max_length=253, pattern=_HOST)]
HostPattern = Annotated[str, Field(min_length=1, max_length=253, pattern=_HOSTS)]
FolderPath = Annotated[str, Field(min_length=1, max_length=1024, pattern=_FOLDER)]
EnvName = Annotated[str, Field(min_length=1, max_length=253, pattern=_ENV)]
SecretEntry = Annotated[str, Field(min_length=1, max_length=253, pattern=_ENTRY)]
ImageRef = Annotated[str, Field(min_length=1, max_length=512, pattern=_IMAGE)]
Duration = Annotated[str, Field(min_length=2, max_length=16, pattern=_DURATION)]
Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]


def _network(text: str) -> str:
    try:
        ip_network(text)
    except ValueError as error:
        raise PydanticCustomError(
            "network",
            "must be a network in CIDR notation, without bits beyond its prefix: 10.1.2.0/24, not 10.1.2.3/24",
        ) from error
    return text


NetworkRange = Annotated[str, Field(min_length=4, max_length=49, pattern=_NETWORK), AfterValidator(_network)]


RESERVED_STAGES: Final = ("gateway", "plan")
"""Names of what a pipeline has beside its stages, and calls its objects after."""


def _free(name: str) -> str:
    if name in RESERVED_STAGES:
        raise PydanticCustomError("reserved", "must be another name: the pipeline has objects of its own called so")
    return name


NewStageName = Annotated[StageName, AfterValidator(_free)]
"""Of a stage where it is made, not where it is referred to."""


def _written(value: object) -> object:
    """`nvidia.com/gpu: 1` is how everybody writes it, and Kubernetes lets them."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else value


Quantity = Annotated[
    str,
    Field(min_length=1, max_length=32, pattern=_QUANTITY),
    BeforeValidator(_written),
    WithJsonSchema({"x-kubernetes-int-or-string": True, "pattern": _QUANTITY, "minLength": 1, "maxLength": 32}),
]
"""Kubernetes' own; a whole number needs no quotes. In memory it is a string always."""


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
