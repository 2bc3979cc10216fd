"""A pydantic model's JSON schema as the structural OpenAPI v3 schema that a CRD may hold.

A CRD knows no references, no null beside a type, no closed objects (the API server prunes or refuses what it does not
know by itself) and no bounds on keys. A keyword that is not known here raises: a rule that a model states must not be
lost on the way in silence.
"""

from collections.abc import Mapping
from typing import Any, Final

from pydantic import BaseModel

__all__ = ["Schema", "at", "structural"]

Schema = dict[str, Any]

_KEPT: Final = frozenset(
    {
        "type", "enum", "pattern", "format", "default", "required", "minLength", "maxLength", "minimum",
        "maximum", "minItems", "maxItems", "maxProperties", "x-kubernetes-preserve-unknown-fields",
        "x-kubernetes-int-or-string",
    }
)  # fmt: skip
_DROPPED: Final = frozenset({"title", "propertyNames", "exclusiveMinimum"})
"""Pydantic's own titles repeat the names; keys of a map cannot be bounded in a CRD, the webhook does that. An exclusive
minimum is a number here and a mark on the minimum there, put together at the end."""


def structural(model: type[BaseModel]) -> Schema:
    """The model's schema, with every `$ref` in its place. Shares nothing with another call's result."""
    schema = model.model_json_schema(by_alias=True)
    return _node(schema, schema.get("$defs", {}))


def at(schema: Schema, path: str) -> Schema:
    """The part at a dotted path; `[]` after a name goes into a list's items. Raises KeyError."""
    for name in filter(None, path.split(".")):
        schema = schema["properties"][name.removesuffix("[]")]
        if name.endswith("[]"):
            schema = schema["items"]
    return schema


def _node(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> Schema:
    node: Schema = {}
    flat = _flat(schema, definitions)
    for key, value in flat.items():
        match key:
            case "properties":
                node[key] = {name: _node(part, definitions) for name, part in value.items()}
            case "items":
                node[key] = _node(value, definitions)
            case "additionalProperties":
                if isinstance(value, dict):
                    node[key] = _node(value, definitions)
            case "patternProperties":
                (node["additionalProperties"],) = (_node(part, definitions) for part in value.values())
            case "const":
                node["enum"] = [value]
            case "description":
                node[key] = " ".join(value.split())
            case _ if key in _KEPT:
                node[key] = list(value) if isinstance(value, list) else value
            case _ if key not in _DROPPED:
                raise ValueError(f"{key!r} cannot be said in a CRD: {schema}")
    more_than = flat.get("exclusiveMinimum")
    if more_than is not None and more_than >= node.get("minimum", more_than):
        node |= {"minimum": more_than, "exclusiveMinimum": True}
    return _with_format(_with_default(node))


def _flat(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> dict[str, Any]:
    """References and "or null" resolved; what stands beside them (the field's own words) wins over the definition."""
    flat = {key: value for key, value in schema.items() if key not in ("$ref", "$defs", "anyOf")}
    if "anyOf" in schema:
        options = [option for option in schema["anyOf"] if option != {"type": "null"}]
        if len(options) != 1:
            raise ValueError(f"only one type, or null, can be said in a CRD: {schema}")
        flat = {**_flat(options[0], definitions), **flat}
    if "$ref" in schema:
        flat = {**_flat(definitions[schema["$ref"].removeprefix("#/$defs/")], definitions), **flat}
    return flat


def _with_default(node: Schema) -> Schema:
    """An absent field is the CRD's null. A section's default has its fields' own defaults in it, although the server
    would fill them in: it checks the section's rules against the default as it is written. Empty ones say nothing."""
    default = node.pop("default", None)
    if isinstance(default, dict):
        default = {name: part["default"] for name, part in node.get("properties", {}).items() if "default" in part}
    if default not in (None, {}, []):
        node["default"] = default
    return node


def _with_format(node: Schema) -> Schema:
    match node.get("type"):
        case "integer":
            node["format"] = "int64" if node.get("maximum", 0) >= 1 << 31 else "int32"
        case "number":
            node["format"] = "double"
    return node
