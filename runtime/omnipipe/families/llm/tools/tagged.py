"""Calls written in tags, an argument each: the parser that Qwen3-Coder's and GLM's syntaxes share.

A value is bare text. What its function's schema says is a string becomes one, and is streamed; anything else is read as
JSON once it is there whole.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from omnipipe.families.llm.asked import Tool
from omnipipe.families.llm.marks import seek, seek_any
from omnipipe.families.llm.tools.dialect import Arguments, Begin, Delta
from omnipipe.families.llm.tools.stepping import SteppingParser
from omnipipe.families.llm.tools.values import Kind, kinds_of, spelt, written

__all__ = ["TaggedParser", "Tags"]

_NAME: Final = re.compile(r"[\w.\-]*", re.ASCII)
_MOST_NAME: Final = 64
_MOST_KEY: Final = 256


@dataclass(frozen=True, slots=True)
class Tags:
    open: str
    close: str
    name_open: str
    """Behind `open`; empty: the name itself."""
    name_ends: str
    """One of these characters is behind the name. A `<` belongs to what follows."""
    key_open: str
    key_close: str
    value_open: str
    """Behind `key_close`; empty: the value itself."""
    value_close: str
    end: str
    """Behind the last value, before `close`; empty: nothing."""
    padded: bool
    """There is a line break at both ends of a value that does not belong to it."""

    @property
    def openings(self) -> tuple[str, ...]:
        """Some models forget `open`."""
        return (self.open, self.name_open) if self.name_open else (self.open,)

    @property
    def ends(self) -> tuple[str, ...]:
        """What may come in place of another key."""
        return (self.end, self.close, self.open) if self.end else (self.close, self.open)


class _State(Enum):
    CONTENT = auto()
    NAME = auto()
    KEYS = auto()  # between two arguments
    KEY = auto()
    GAP = auto()  # between a key and its value
    VALUE = auto()
    CLOSING = auto()


class TaggedParser(SteppingParser):
    def __init__(self, tags: Tags, tools: Sequence[Tool]) -> None:
        super().__init__()
        self._tags = tags
        self._tools = {tool.function.name: tool for tool in tools}
        self._state = _State.CONTENT
        self._mark = ""
        """What the call began with."""
        self._kinds: Mapping[str, Kind] = {}
        self._key = ""
        self._kind = Kind.JSON
        self._arguments = 0
        self._fresh = False
        """Nothing of the value has been looked at."""

    @property
    def calling(self) -> bool:
        return self._state is not _State.CONTENT

    def _step(self, out: list[Delta]) -> bool:
        match self._state:
            case _State.CONTENT:
                return self._speak(out)
            case _State.NAME:
                return self._named(out)
            case _State.KEYS:
                return self._between(out)
            case _State.KEY:
                return self._keyed()
            case _State.GAP:
                return self._gap(out)
            case _State.VALUE:
                return self._valued(out)
            case _State.CLOSING:
                return self._closed()

    def _speak(self, out: list[Delta]) -> bool:
        at, mark = seek_any(self._text, self._tags.openings)
        self._content.say(self._text[:at], out)
        self._text = self._text[at + len(mark) :]
        if mark:
            self._mark, self._state = mark, _State.NAME
        return bool(mark)

    def _named(self, out: list[Delta]) -> bool:
        text, opening = self._text.lstrip(), "" if self._mark == self._tags.name_open else self._tags.name_open
        if not text.startswith(opening):
            return False if opening.startswith(text) else self._back(out)
        found = _NAME.match(text, len(opening))
        assert found is not None
        name, rest = found.group(), text[found.end() :].lstrip(" \t")
        if len(name) > _MOST_NAME or (rest and (not name or rest[0] not in self._tags.name_ends)):
            return self._back(out)
        if not rest:
            return False
        self._text = rest if rest[0] == "<" else rest[1:]
        self._content.interrupt()
        out.append(Begin(name))
        self._kinds = kinds_of(self._tools[name]) if name in self._tools else {}
        self._arguments = 0
        self._state = _State.KEYS
        return True

    def _back(self, out: list[Delta]) -> bool:
        """It was no call."""
        self._content.say(self._mark, out)
        self._state = _State.CONTENT
        return True

    def _between(self, out: list[Delta]) -> bool:
        """What is written between arguments means nothing."""
        tags = self._tags
        at, mark = seek_any(self._text, (tags.key_open, *tags.ends))
        self._text = self._text[at + len(mark) :]
        if mark == tags.key_open:
            self._state = _State.KEY
        elif mark:
            out.append(Arguments("}" if self._arguments else "{}"))
            self.calls += 1
            self._state = _State.CLOSING if mark == tags.end else _State.CONTENT
            if mark == tags.open:
                self._mark, self._state = mark, _State.NAME
        return bool(mark)

    def _keyed(self) -> bool:
        at, found = seek(self._text, self._tags.key_close)
        key = self._text[:at]
        if "\n" in key or len(key) > _MOST_KEY:
            self._state = _State.KEYS
            return True
        if not found:
            return False
        self._key = key.strip()
        self._text = self._text[at + len(self._tags.key_close) :]
        self._state = _State.GAP
        return True

    def _gap(self, out: list[Delta]) -> bool:
        opening = self._tags.value_open
        text = self._text.lstrip() if opening else self._text
        if not text.startswith(opening):
            if opening.startswith(text):
                return False
            self._state = _State.KEYS
            return True
        self._text = text[len(opening) :]
        self._kind = self._kinds.get(self._key, Kind.JSON)
        said = ("{" if not self._arguments else ", ") + spelt(self._key) + ": "
        out.append(Arguments(said + ('"' if self._kind is Kind.TEXT else "")))
        self._arguments += 1
        self._state, self._fresh = _State.VALUE, self._tags.padded
        return True

    def _valued(self, out: list[Delta]) -> bool:
        if self._fresh:
            self._text = self._text.removeprefix("\n")
            self._fresh = False
        at, found = seek(self._text, self._tags.value_close)
        value = self._text[:at]
        if self._tags.padded and value.endswith("\n") and (found or self._kind is Kind.TEXT):
            value = value[:-1]
        if self._kind is Kind.TEXT:
            said = spelt(value)[1:-1] + ('"' if found else "")
            if said:
                out.append(Arguments(said))
            if not found:
                self._text = self._text[len(value) :]
        elif found:
            out.append(Arguments(written(self._kind, value)))
        if found:
            self._text = self._text[at + len(self._tags.value_close) :]
            self._state = _State.KEYS
        return found

    def _closed(self) -> bool:
        """What is written between a call and its end means nothing."""
        at, mark = seek_any(self._text, (self._tags.close, *self._tags.openings))
        self._text = self._text[at + len(mark) :]
        if mark:
            self._mark, self._state = mark, _State.CONTENT if mark == self._tags.close else _State.NAME
        return bool(mark)
