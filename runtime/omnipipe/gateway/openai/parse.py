"""Bytes of a body -> a request struct, or a RequestError that says in OpenAI's words which field is wrong.

msgspec does the checking; this module only turns its messages into ours: the path becomes `param`, and where the value
had to be one of a few, the few are named.
"""

import re
from collections.abc import Iterator
from typing import Any, Generic, TypeVar

import msgspec

from omnipipe.errors import ErrorKind, RequestError

__all__ = ["BodyParser"]

T = TypeVar("T")

_WHERE = re.compile(r"^(?P<what>.*?)(?: - at (?P<key>`key` in )?`\$(?P<path>.*)`)?$", re.DOTALL)
_FIELD = re.compile(r"^Object (?P<how>missing required|contains unknown) field `(?P<field>.*)`$", re.DOTALL)
_TYPE = re.compile(r"^Expected `(?P<want>[^`]*)`, got `(?P<got>[^`]*)`$")
_VALUE = re.compile(r"^Invalid (?:enum )?value (?P<value>.*)$", re.DOTALL)
_TOKEN = re.compile(r"\.([^.\[\]]+)|\[(?:\d+|\.\.\.)\]")

_MAX_QUOTED = 64
"""Characters of a client's own text that a message repeats."""


class BodyParser(Generic[T]):
    """The parser of one request type."""

    def __init__(self, type: type[T]) -> None:
        self._type = type
        self._decode = msgspec.json.Decoder(type).decode

    def __call__(self, body: bytes) -> T:
        try:
            return self._decode(body)
        except msgspec.ValidationError as error:
            raise self._explain(str(error), body) from error
        except msgspec.DecodeError as error:
            raise _malformed(str(error)) from error
        except UnicodeDecodeError as error:
            raise _malformed("it is not valid UTF-8") from error
        except RecursionError as error:
            raise _malformed("it is nested too deeply") from error

    def _explain(self, text: str, body: bytes) -> RequestError:
        where = _WHERE.match(text)
        if where is None:
            return _invalid(text, None, "invalid_value")
        what, path = where["what"], (where["path"] or "").lstrip(".").replace("[...]", "")
        if field := _FIELD.match(what):
            param = f"{path}.{_short(field['field'])}" if path else _short(field["field"])
            if field["how"] == "missing required":
                return _invalid(f"Missing required parameter: '{param}'.", param, "missing_required_parameter")
            return _invalid(f"Unknown parameter: '{param}'.", param, "unknown_parameter")
        name = f"'{path}'" if path else "the request body"
        if where["key"]:
            name = f"a key of {name}"
        if types := _TYPE.match(what):
            message = f"Invalid type for {name}: expected {_types(types['want'])}, got {_types(types['got'])}."
            return _invalid(message, path or None, "invalid_type")
        if value := _VALUE.match(what):
            message = f"Invalid value for {name}: {_short(value['value'])}."
            if allowed := self._allowed(path, body):
                message += f" Supported values are: {', '.join(map(repr, allowed))}."
            return _invalid(message, path or None, "invalid_value")
        what = what.replace("`", "").replace("Expected", "expected", 1)
        return _invalid(f"Invalid value for {name}: {_short(what)}.", path or None, "invalid_value")

    def _allowed(self, path: str, body: bytes) -> list[str]:
        """The values that the schema lets stand at `path`, in what else this body is. Slow, and only for messages."""
        (root,), components = msgspec.json.schema_components([self._type], ref_template="{name}")
        nodes = list(_alternatives(root, components))
        here = _parsed(body)
        for token in _TOKEN.finditer(f".{path}"):
            name = token[1]
            others = [node for node in nodes if _meant(node, here, name)]
            nodes = others or nodes
            here = _below(here, token[0])
            below = [node.get("items") if name is None else node.get("properties", {}).get(name) for node in nodes]
            nodes = [leaf for node in below if node for leaf in _alternatives(node, components)]
        return sorted({str(value) for node in nodes for value in node.get("enum", ())})


def _alternatives(node: dict[str, Any], components: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The plain schemas behind references and `anyOf`."""
    if "$ref" in node:
        yield from _alternatives(components[node["$ref"]], components)
    for option in node.get("anyOf", ()):
        yield from _alternatives(option, components)
    yield node


def _parsed(body: bytes) -> Any:
    """None: it is no JSON further down, which had not been looked at."""
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _meant(node: dict[str, Any], value: Any, asked: str | None) -> bool:
    """Whether the fields that tell shapes apart, but for the one that is asked about, say that it is this one."""
    if not isinstance(value, dict):
        return True
    told = {
        name: field["enum"] for name, field in node.get("properties", {}).items() if len(field.get("enum", ())) == 1
    }
    return all(value[name] in one for name, one in told.items() if name != asked and name in value)


def _below(value: Any, token: str) -> Any:
    """None: that cannot be told."""
    try:
        return value[token[1:]] if token[0] == "." else value[int(token[1:-1])]
    except (KeyError, IndexError, TypeError, ValueError):
        return None


def _types(text: str) -> str:
    return text.replace(" | ", " or ")


def _short(text: str) -> str:
    return text if len(text) <= _MAX_QUOTED else text[:_MAX_QUOTED] + "…"


def _malformed(why: str) -> RequestError:
    return _invalid(f"We could not parse the JSON body of your request: {why}.", None, "invalid_json")


def _invalid(message: str, param: str | None, code: str) -> RequestError:
    return RequestError(ErrorKind.INVALID, message, param=param, code=code)
