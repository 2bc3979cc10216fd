"""Pieces of grammars (llguidance's dialect of Lark) that the syntaxes share."""

import json
from collections.abc import Mapping
from typing import Final

from omnipipe.families.llm.asked import Tool

__all__ = ["arguments_schema", "json_schema", "quoted"]

_SPACING: Final = {"whitespace_pattern": r"(\n[ ]{0,32}|[ ])?"}
"""White space in JSON: pretty or none. JSON itself has no bound, and weak models never find an end of it."""


def quoted(text: str) -> str:
    """A text as a grammar's string."""
    return json.dumps(text, ensure_ascii=False)


def arguments_schema(tool: Tool) -> str:
    """What a function's arguments must match. Without `parameters` it takes none."""
    nothing = {"type": "object", "properties": {}, "additionalProperties": False}
    schema = nothing if tool.function.parameters is None else tool.function.parameters
    typed = schema if "type" in schema or "$ref" in schema else {"type": "object", **schema}
    return json.dumps(json_schema(typed))


def json_schema(schema: Mapping[str, object]) -> dict[str, object]:
    """As llguidance shall read it."""
    return {"x-guidance": _SPACING, **schema}
