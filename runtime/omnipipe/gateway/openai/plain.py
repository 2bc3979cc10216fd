"""JSON that goes through to a stage as it is - options, schemas - within what the wire takes: 64 bit integers, and no
endless depth or size."""

from collections.abc import Mapping
from typing import Final

from omnipipe.gateway.openai.refusals import invalid
from omnipipe.wire.value import Value

__all__ = ["check_plain", "check_schema"]

_MAX_DEPTH: Final = 16
_MAX_SCHEMA_DEPTH: Final = 24
"""An object inside an object is two levels. The wire takes 32, of which some are around the schema."""
_MAX_SCHEMA_VALUES: Final = 20_000
"""All keys' values and items. OpenAI stops at 5000 properties; each has a few."""


def check_plain(value: Value, path: str) -> None:
    """Raises RequestError naming the value at fault."""
    _walk(value, path, _MAX_DEPTH, _MAX_DEPTH)


def check_schema(schema: Value, path: str) -> None:
    """A JSON schema's size. Whether it is one is for whoever compiles it to say."""
    count = _walk(schema, path, _MAX_SCHEMA_DEPTH, _MAX_SCHEMA_DEPTH)
    if count > _MAX_SCHEMA_VALUES:
        raise invalid(f"'{path}' is too large: it holds {count} values, the limit is {_MAX_SCHEMA_VALUES}.", path)


def _walk(value: Value, path: str, levels: int, most: int) -> int:
    if levels < 0:
        raise invalid(f"'{path}' is nested more than {most} levels deep.", path)
    match value:
        case bool():
            return 1
        case int() if not -(2**63) <= value < 2**63:
            raise invalid(f"'{path}' is beyond the range of 64 bit integers.", path)
        case Mapping():
            return 1 + sum(_walk(inner, f"{path}.{key}", levels - 1, most) for key, inner in value.items())
        case list():
            return 1 + sum(_walk(inner, f"{path}[{index}]", levels - 1, most) for index, inner in enumerate(value))
        case _:
            return 1
