"""What may be inside a Value, checked on the way out and on the way in.

Out: anything else is a TypeError that names the path. In: anything else is a BadMessage. Long strings and bytes are
swapped for `Long`, so that the codec can put them in frames of their own. Pure; the hot path is one look at a type.
"""

from collections.abc import Iterator
from typing import Any, Final

from omnipipe.wire.errors import BadMessage
from omnipipe.wire.messages import Chunk, Output, Payload, Submit
from omnipipe.wire.value import Tensor, Value

__all__ = ["LEAVES", "LONG_BYTES", "MAX_DEPTH", "VALUE_FIELDS", "Long", "admit", "prepare"]

LONG_BYTES: Final = 64 << 10
"""Strings and bytes from this length on travel in a frame of their own."""
MAX_DEPTH: Final = 32
"""Lists and dicts in one another."""
VALUE_FIELDS: Final[dict[type, tuple[str, ...]]] = {
    Submit: ("params", "value"),
    Payload: ("value",),
    Chunk: ("value",),
    Output: ("value", "meta"),
}
"""The message fields that hold a Value."""

_NUMBERS: Final = frozenset({type(None), bool, int, float, Tensor})
LEAVES: Final = _NUMBERS | {str, bytes}
"""Types of values that hold nothing else: `admit` has nothing to say of them."""
_STR: Final = frozenset({str})


class Long:
    """A long string or bytes on its way out."""

    __slots__ = ("data", "is_text")

    def __init__(self, data: str | bytes) -> None:
        self.is_text = isinstance(data, str)
        self.data = data.encode() if isinstance(data, str) else data


def prepare(value: Value, name: str) -> Value:
    """The value itself, or a copy in which long strings and bytes are `Long`. Raises TypeError with the path."""
    try:
        return _prepare(value, 0)
    except TypeError:
        raise TypeError(_complaint(value, name)) from None
    except UnicodeEncodeError:
        raise TypeError(f"{name}: a string holds a lone surrogate, which is not Unicode text") from None


def _prepare(value: Value, depth: int) -> Value:
    kind = type(value)
    if kind in _NUMBERS:
        return value
    if kind is str or kind is bytes:
        return value if len(value) < LONG_BYTES else Long(value)
    if depth == MAX_DEPTH:
        raise TypeError
    if kind is list:
        if _NUMBERS.issuperset(map(type, value)):
            return value
        copy = [_prepare(item, depth + 1) for item in value]
        return value if all(map(_is, copy, value)) else copy
    if kind is dict and _STR.issuperset(map(type, value)):
        if _NUMBERS.issuperset(map(type, value.values())):
            return value
        copies = {key: _prepare(item, depth + 1) for key, item in value.items()}
        return value if all(map(_is, copies.values(), value.values())) else copies
    raise TypeError


def _is(a: object, b: object) -> bool:
    return a is b


def admit(value: Value) -> None:
    """Raises BadMessage when a decoded value holds what no Value holds (a timestamp, a key that is not a string)."""
    if type(value) not in LEAVES:
        _admit(value, 0)


def _admit(value: Value, depth: int) -> None:
    kind = type(value)
    if depth == MAX_DEPTH:
        raise BadMessage(f"a value is nested more than {MAX_DEPTH} deep")
    if kind is list:
        if LEAVES.issuperset(map(type, value)):
            return
        inner: Iterator[Any] = iter(value)
    elif kind is dict:
        if not _STR.issuperset(map(type, value)):
            raise BadMessage("a dict key is not a string")
        if LEAVES.issuperset(map(type, value.values())):
            return
        inner = iter(value.values())
    else:
        raise BadMessage(f"a value holds {kind.__name__}")
    for item in inner:
        if type(item) not in LEAVES:
            _admit(item, depth + 1)


def _complaint(value: Value, path: str, depth: int = 0) -> str:
    """Where and what the first unfit thing is. Slow; only for the error."""
    kind = type(value)
    if depth == MAX_DEPTH and kind in (list, dict):
        return f"{path[:200]}: nested more than {MAX_DEPTH} deep"
    if kind is list:
        for index, item in enumerate(value):
            if found := _complaint(item, f"{path}[{index}]", depth + 1):
                return found
    elif kind is dict:
        for key, item in value.items():
            if type(key) is not str:
                return f"{path}: the key {key!r:.100} is {type(key).__name__}; keys must be str"
            if found := _complaint(item, f"{path}[{key!r:.100}]", depth + 1):
                return found
    elif kind not in LEAVES:
        return (
            f"{path}: {kind.__module__}.{kind.__qualname__} cannot travel; a value is None, bool, int, float, str, "
            f"bytes, Tensor, list or dict"
        )
    return ""
