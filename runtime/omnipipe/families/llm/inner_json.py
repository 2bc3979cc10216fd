"""JSON that a request carries as a text: arguments of calls, schemas. The gateway has read the request itself; what is
inside such a text nobody has looked at, so everything that the wire or a template would choke on is refused here, by
name. Must not know what the JSON is for."""

import json
from math import isfinite
from typing import Any, Final, NoReturn

from omnipipe.families.llm.asked import invalid

__all__ = ["read_object"]

_DEEPEST: Final = 20
"""Levels. The wire takes 32, of which some are around it."""

_LONGEST: Final = 1 << 20
"""Characters. Reading a text of many small values takes a second for each million, of the gateway's own time."""


def read_object(text: str, path: str, what: str) -> dict[str, Any]:
    """`path`: what the client calls the text; `what`: what it must be. Raises RequestError."""
    if len(text) > _LONGEST:
        raise invalid(f"'{path}' is longer than {_LONGEST} characters.", path)
    try:
        found = json.loads(text, parse_constant=_no_number)
    except RecursionError as error:
        raise _too_deep(path) from error
    except ValueError as error:
        raise invalid(f"'{path}' is not JSON: {_reason(error)}.", path) from error
    if not isinstance(found, dict):
        raise invalid(f"'{path}' must be a JSON {what}.", path)
    _check(found, path, _DEEPEST)
    return found


def _check(value: object, path: str, levels: int) -> None:
    if levels < 0:
        raise _too_deep(path)
    match value:
        case str():
            _check_text(value, path)
        case bool() | None:
            pass
        case int() if not -(2**63) <= value < 2**63:
            raise invalid(f"'{path}' has an integer beyond the range of 64 bits.", path)
        case float() if not isfinite(value):
            raise invalid(f"'{path}' has a number beyond the range of 64 bit floats.", path)
        case dict():
            for name, inner in value.items():
                _check_text(name, path)
                _check(inner, path, levels - 1)
        case list():
            for inner in value:
                _check(inner, path, levels - 1)
        case _:
            pass


def _check_text(text: str, path: str) -> None:
    if text.isascii():
        return
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise invalid(f"'{path}' has half a surrogate pair, which is no character.", path) from error


def _too_deep(path: str) -> Exception:
    return invalid(f"'{path}' is nested more than {_DEEPEST} levels deep.", path)


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number in it")


def _reason(error: ValueError) -> str:
    """Without Python's advice on what it can be told to accept."""
    return "it has a number of thousands of digits" if "int_max_str_digits" in str(error) else str(error)
