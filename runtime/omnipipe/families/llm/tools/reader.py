"""Reads one tool call as it comes: `{"name": ..., "arguments": {...}}`, its keys in any order.

Arguments that are an object are given out as they are written, so that they can be streamed.
"""

import json
from enum import Enum, auto
from typing import Any, Final

from omnipipe.families.llm.tools.dialect import Arguments, Begin, Delta

__all__ = ["CallReader", "ValueReader"]

_SPACE: Final = " \t\r\n"
_ARGUMENTS: Final = frozenset({"arguments", "parameters"})
_KEYS: Final = _ARGUMENTS | {"name", "type", "id"}


class ValueReader:
    """Where a JSON value ends. Looks at strings and brackets alone: whether it is well-formed is not asked."""

    __slots__ = ("_depth", "_escaped", "_quoted", "_scalar", "raw")

    def __init__(self, first: str) -> None:
        self.raw = first
        self._depth = int(first in "{[")
        self._quoted = first == '"'
        self._escaped = False
        self._scalar = first not in '{["'

    @property
    def container(self) -> bool:
        return self.raw[0] in "{["

    def push(self, char: str) -> bool | None:
        """True: it ends with this. None: it ended before this."""
        if self._scalar:
            if char in _SPACE or char in ",]}":
                return None
            self.raw += char
            return False
        self.raw += char
        if self._quoted:
            if self._escaped:
                self._escaped = False
            elif char == "\\":
                self._escaped = True
            elif char == '"':
                self._quoted = False
        elif char == '"':
            self._quoted = True
        elif char in "{[":
            self._depth += 1
        elif char in "}]":
            self._depth -= 1
        return not self._quoted and not self._depth


class _State(Enum):
    OPEN = auto()
    KEY = auto()
    IN_KEY = auto()
    COLON = auto()
    VALUE = auto()
    IN_VALUE = auto()
    DONE = auto()
    FAILED = auto()


class CallReader:
    """`names`: only these make it a call, and no other keys may be there; None: any name, and other keys are passed
    over."""

    def __init__(self, names: frozenset[str] | None = None) -> None:
        self.began = False
        """Its name has been given out: there is no way back."""
        self.raw = ""
        """All of it, until it began: what it is if it is no call."""
        self._names = names
        self._state = _State.OPEN
        self._name: str | None = None
        self._key = ""
        self._value = ValueReader('"')
        self._early = ""
        """Arguments that came before the name."""
        self._arguments = False
        self._out: list[Delta] = []

    @property
    def done(self) -> bool:
        return self._state is _State.DONE

    @property
    def failed(self) -> bool:
        return self._state is _State.FAILED

    def push(self, char: str) -> list[Delta]:
        if not self.began:
            self.raw += char
        self._out = []
        self._take(char)
        return self._out

    def _take(self, char: str) -> None:
        match self._state:
            case _State.IN_KEY:
                if self._value.push(char):
                    self._have_key()
            case _State.IN_VALUE:
                self._in_value(char)
            case _ if char in _SPACE:
                pass
            case _State.OPEN:
                self._state = _State.KEY if char == "{" else _State.FAILED
            case _State.KEY:
                self._between(char)
            case _State.COLON:
                self._state = _State.VALUE if char == ":" else _State.FAILED
            case _State.VALUE:
                self._value = ValueReader(char)
                self._state = _State.IN_VALUE
                if self._key in _ARGUMENTS and self._arguments:
                    self._key = ""  # a second time: the first ones hold, for they have been given out
                elif self._key in _ARGUMENTS:
                    self._arguments = True
                    if self._value.container:
                        self._argue(char)
            case _:
                self._state = _State.FAILED

    def _between(self, char: str) -> None:
        if char == '"':
            self._value = ValueReader(char)
            self._state = _State.IN_KEY
        elif char == "}":
            if not self._arguments and self._name is not None:
                self._argue("{}")
            self._state = _State.DONE if self.began else _State.FAILED
        elif char != ",":
            self._state = _State.FAILED

    def _have_key(self) -> None:
        key = _decoded(self._value.raw)
        known = isinstance(key, str) and (self._names is None or key in _KEYS)
        self._key = str(key)
        self._state = _State.COLON if known else _State.FAILED

    def _in_value(self, char: str) -> None:
        ended = self._value.push(char)
        if self._key in _ARGUMENTS and self._value.container:
            self._argue(char)
        if ended is False:
            return
        self._state = _State.KEY
        self._have_value()
        if ended is None and self._state is _State.KEY:
            self._take(char)

    def _have_value(self) -> None:
        if self._key == "name":
            name = _decoded(self._value.raw)
            if not isinstance(name, str) or not name or (self._names is not None and name not in self._names):
                self._state = _State.FAILED
            elif self._name is None:
                self._name = name
                if self._arguments:
                    self._argue("")
        elif self._key in _ARGUMENTS and not self._value.container:
            value = _decoded(self._value.raw)
            # Some models write the object as a string, or null where there are no arguments.
            self._argue(value if isinstance(value, str) else "{}" if value is None else self._value.raw)

    def _argue(self, text: str) -> None:
        """More arguments. The call begins with the first of them, once its name is known."""
        self._early += text
        if self._name is None:
            return
        if not self.began:
            self.began = True
            self.raw = ""
            self._out.append(Begin(self._name))
        if self._early:
            self._out.append(Arguments(self._early))
            self._early = ""


def _decoded(raw: str) -> Any:
    try:
        return json.loads(raw, strict=False)
    except ValueError:
        return raw if raw[:1] != '"' else None
