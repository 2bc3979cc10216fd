"""Bare values of arguments: what a schema says they are, how they are written in JSON, and a grammar for them."""

import json
from collections.abc import Mapping, Sequence
from enum import Enum, auto
from typing import Any, Final, NoReturn

from omnipipe.families.llm.asked import Tool, invalid

__all__ = ["Kind", "kind_of", "kinds_of", "properties_of", "refused", "resolved", "spelt", "written"]

_WORDS: Final = {"True": "true", "False": "false", "None": "null"}
"""Some models write Python."""


class Kind(Enum):
    TEXT = auto()
    TEXT_OR_NULL = auto()
    JSON = auto()  # or what else it may be: text, when it is no JSON


def spelt(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def written(kind: Kind, value: str) -> str:
    """A whole value, in JSON."""
    bare = value.strip()
    bare = _WORDS.get(bare, bare)
    if kind is Kind.TEXT or (kind is Kind.TEXT_OR_NULL and bare != "null"):
        return spelt(value)
    try:
        json.loads(bare, parse_constant=_no_number)
    except (ValueError, RecursionError):
        return spelt(value)
    return bare


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


def kinds_of(tool: Tool) -> dict[str, Kind]:
    root = tool.function.parameters or {}
    return {name: kind_of(schema, root) for name, schema in properties_of(root).items()}


def properties_of(root: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    properties = resolved(root, root).get("properties")
    if not isinstance(properties, Mapping):
        return {}
    return {name: schema if isinstance(schema, Mapping) else {} for name, schema in properties.items()}


def resolved(schema: Mapping[str, Any], root: Mapping[str, Any]) -> Mapping[str, Any]:
    """Behind `$ref`."""
    for _ in range(8):
        name = schema.get("$ref")
        if not isinstance(name, str) or not name.startswith("#/"):
            return schema
        found: Any = root
        for step in name[2:].split("/"):
            found = found.get(step.replace("~1", "/").replace("~0", "~")) if isinstance(found, Mapping) else None
        if not isinstance(found, Mapping):
            return {}
        schema = found
    return {}


def kind_of(schema: Mapping[str, Any], root: Mapping[str, Any]) -> Kind:
    types = _types(schema, root)
    if "string" not in types:
        return Kind.JSON
    return Kind.TEXT_OR_NULL if "null" in types else Kind.TEXT


def _types(schema: Mapping[str, Any], root: Mapping[str, Any], depth: int = 0) -> set[str]:
    """What it may be, as far as it says so; nothing: anything."""
    schema = resolved(schema, root)
    for several in (schema.get("anyOf"), schema.get("oneOf")):
        if isinstance(several, Sequence) and depth < 4:
            return set().union(*(_types(one, root, depth + 1) for one in several if isinstance(one, Mapping)))
    said = schema.get("type")
    if said is None:
        values = [schema["const"]] if "const" in schema else schema.get("enum", [])
        return {"string" if isinstance(value, str) else "null" if value is None else "other" for value in values}
    return {said} if isinstance(said, str) else set(said)


def refused(tool: Tool, what: str) -> NoReturn:
    raise invalid(
        f"The function '{tool.function.name}' has {what}, which this model's way of writing calls cannot be held to. "
        "Leave it out, or ask without 'strict' and with 'tool_choice' \"auto\".",
        "tools",
    )
