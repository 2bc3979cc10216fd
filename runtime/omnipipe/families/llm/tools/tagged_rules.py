"""A grammar for calls written in tags: arguments in the schema's order, each once at most, the required ones there.

In llguidance's dialect of Lark. What JSON schemas can say of bare text and this cannot hold to is refused by name.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from omnipipe.families.llm.asked import Tool
from omnipipe.families.llm.tools.dialect import Literal
from omnipipe.families.llm.tools.schema import json_schema, quoted
from omnipipe.families.llm.tools.tagged import Tags
from omnipipe.families.llm.tools.values import Kind, kind_of, properties_of, refused, resolved

__all__ = ["tagged_rules"]

_OF_WHOLE: Final = (
    "anyOf", "oneOf", "allOf", "not", "if", "patternProperties", "propertyNames", "minProperties", "dependentRequired",
    "dependentSchemas",
)  # fmt: skip
_OF_TEXT: Final = ("pattern", "format", "allOf", "not", "if", "contentEncoding")


def tagged_rules(tags: Tags, tools: Sequence[Tool], *, parallel: bool, literal: Literal, line: str) -> str:
    """`line`: what stands behind the name and behind `open`, where `open` is not followed by the name itself."""
    rules: list[str] = []
    names = []
    for index, tool in enumerate(tools):
        names.append(f"call_{index}")
        rules += _function(f"call_{index}", tool, tags, literal, line)
    more = f' ("\\n" {literal(tags.open)} body)*' if parallel else ""
    return (
        f"calls: {literal(tags.open)} opened\nopened: body{more}\nbody: {' | '.join(names)}\n" + "\n".join(rules) + "\n"
    )


def _function(name: str, tool: Tool, tags: Tags, literal: Literal, line: str) -> list[str]:
    root = tool.function.parameters or {}
    shape = resolved(root, root)
    for word in _OF_WHOLE:
        if word in shape:
            refused(tool, f"'{word}' in its parameters")
    properties = properties_of(root)
    required = [key for key in shape.get("required", ()) if isinstance(key, str)]
    properties |= {key: {} for key in required if key not in properties}
    rules, parts = [], []
    for index, (key, schema) in enumerate(properties.items()):
        rule = f"{name}_{index}"
        parts.append(rule if key in required else f"{rule}?")
        rules += _argument(rule, key, schema, tool, tags, literal)
    before = quoted("\n" + tags.name_open + tool.function.name + tags.name_ends[0] + line) if tags.name_open else ""
    head = before or quoted(tool.function.name + "\n")
    end = quoted(tags.end + "\n") if tags.end else ""
    return [f"{name}: {' '.join([head, *parts, end, literal(tags.close)])}", *rules]


def _argument(rule: str, key: str, schema: Mapping[str, Any], tool: Tool, tags: Tags, literal: Literal) -> list[str]:
    root = tool.function.parameters or {}
    schema = resolved(schema, root)
    pad = "\n" if tags.padded else ""
    if tags.value_open:
        head = f'{literal(tags.key_open)} {quoted(key)} {literal(tags.key_close)} "\\n" {literal(tags.value_open)}'
    else:
        head = quoted(tags.key_open + key + tags.key_close + pad)
    mark = literal(tags.value_close)
    alone = not mark.startswith('"')
    tail = f'{mark} "\\n"' if alone else quoted(f"{pad}{tags.value_close}\n")
    kind = kind_of(schema, root)
    if kind is Kind.JSON:
        shared: dict[str, Any] = {name: root[name] for name in ("$defs", "definitions") if name in root}
        return [f"{rule}: {head} %json {json.dumps(json_schema({**schema, **shared}))} {tail}"]
    values = [schema["const"]] if "const" in schema else schema.get("enum")
    if values is None:
        # A text and its end are one terminal: beside another, one that takes any text would never end.
        text = rule.upper()
        end = "" if alone else f"{pad}{tags.value_close}\n"
        return [f"{rule}: {head} {text}{f' {tail}' if alone else ''}", f"{text}: {_text(schema, tool, tags, end)}"]
    texts = [value if isinstance(value, str) else "null" for value in values if isinstance(value, str | None)]
    if any(tags.value_close in text for text in texts):
        refused(tool, f"{tags.value_close!r} in a value")
    return [f"{rule}: {head} ({' | '.join(map(quoted, texts))}) {tail}"]


def _text(schema: Mapping[str, Any], tool: Tool, tags: Tags, end: str) -> str:
    """Any text up to what closes it, or of so many characters. Where there may be none at all, `null` is a text."""
    for several in (schema.get("anyOf"), schema.get("oneOf")):
        if isinstance(several, Sequence) and any(_narrow(one) for one in several if isinstance(one, Mapping)):
            refused(tool, "'anyOf' with more than types")
    for word in _OF_TEXT:
        if word in schema:
            refused(tool, f"a '{word}' of a text")
    least, most = schema.get("minLength", 0), schema.get("maxLength")
    many = f"{{{least},{'' if most is None else most}}}" if least or most is not None else "*"
    close, end = (text.replace("/", "\\/").replace("\n", "\\n") for text in (tags.value_close, end))
    return f"/(.|\\n){many}{end}/ & ~/(.|\\n)*{close}(.|\\n)*{end}/"


def _narrow(schema: Mapping[str, Any]) -> bool:
    return bool(set(schema) - {"type", "description", "title", "default", "examples"})
