"""`[TOOL_CALLS][{"name": ..., "arguments": {...}}, ...]`, and the newer `[TOOL_CALLS]name[ARGS]{...}`, as Mistral's
models write it."""

import json
import secrets
import string
from collections.abc import Sequence
from enum import Enum, auto

from omnipipe.families.llm.asked import Tool
from omnipipe.families.llm.marks import seek
from omnipipe.families.llm.tools.content import ContentText
from omnipipe.families.llm.tools.dialect import Arguments, Begin, Delta, Dialect, Literal, ToolParser
from omnipipe.families.llm.tools.reader import CallReader, ValueReader
from omnipipe.families.llm.tools.schema import arguments_schema, quoted

__all__ = ["Mistral"]

_OPEN, _ARGS, _ID = "[TOOL_CALLS]", "[ARGS]", "[CALL_ID]"
_ALPHABET = string.ascii_letters + string.digits


class Mistral(Dialect):
    marks: tuple[str, ...] = (_OPEN, _ARGS, _ID)
    opening: str | None = _OPEN

    def __init__(self, *, named: bool) -> None:
        """`named`: it is the newer one. The parser reads both."""
        self._named = named

    def parser(self, tools: Sequence[Tool]) -> "MistralParser":
        return MistralParser()

    def call_id(self, name: str, index: int) -> str:
        """Its templates take nine letters and digits, nothing else."""
        return "".join(secrets.choice(_ALPHABET) for _ in range(9))

    def rules(self, tools: Sequence[Tool], *, parallel: bool, literal: Literal) -> str:
        if self._named:
            bodies = [f"{quoted(tool.function.name)} {literal(_ARGS)} %json {arguments_schema(tool)}" for tool in tools]
            more = f" ({literal(_OPEN)} body)*" if parallel else ""
            return f"calls: {literal(_OPEN)} opened\nopened: body{more}\nbody: {' | '.join(bodies)}\n"
        bodies = []
        for tool in tools:
            head = '{"name": ' + json.dumps(tool.function.name) + ', "arguments": '
            bodies.append(f'{quoted(head)} %json {arguments_schema(tool)} "}}"')
        more = ' (", " call)*' if parallel else ""
        return f'calls: {literal(_OPEN)} opened\nopened: "[" call{more} "]"\ncall: {" | ".join(bodies)}\n'


class _State(Enum):
    CONTENT = auto()
    OPENED = auto()
    LIST = auto()
    OBJECT = auto()
    NAME = auto()
    ARGUMENTS = auto()


class MistralParser(ToolParser):
    def __init__(self) -> None:
        self.calls = 0
        self._content = ContentText()
        self._state = _State.CONTENT
        self._text = ""
        """Content: not looked at yet. Elsewhere: all since the mark, while no call has begun."""
        self._listed = False
        self._reader = CallReader()
        self._value: ValueReader | None = None
        self._name = ""

    @property
    def calling(self) -> bool:
        return self._state is not _State.CONTENT

    def push(self, text: str) -> list[Delta]:
        out: list[Delta] = []
        while text:
            if self._state is _State.CONTENT:
                text = self._speak(text, out)
            else:
                self._take(text[0], out)
                text = text[1:]
        return out

    def finish(self) -> list[Delta]:
        out: list[Delta] = []
        if self._state in (_State.CONTENT, _State.NAME):
            self._content.say(self._text, out)
            self._content.finish(out)
        return out

    def _speak(self, text: str, out: list[Delta]) -> str:
        """The rest."""
        text = self._text + text
        at, found = seek(text, _OPEN)
        self._content.say(text[:at], out)
        self._text = "" if not found else _OPEN
        if found:
            self._state = _State.OPENED
            return text[at + len(_OPEN) :]
        self._text = text[at:]
        return ""

    def _take(self, char: str, out: list[Delta]) -> None:
        if self._text:
            self._text += char
        match self._state:
            case _State.OPENED if char.isspace():
                pass
            case _State.OPENED if char == "[":
                self._state = _State.LIST
            case _State.OPENED if char == "{":
                self._object(char, out, listed=False)
            case _State.OPENED:
                self._state, self._name = _State.NAME, char
            case _State.LIST if char == "{":
                self._object(char, out, listed=True)
            case _State.LIST:
                if char != "," and not char.isspace():
                    self._back(out)
            case _State.OBJECT:
                self._read(char, out)
            case _State.NAME:
                self._named(char, out)
            case _State.ARGUMENTS:
                self._argue(char, out)

    def _object(self, char: str, out: list[Delta], *, listed: bool) -> None:
        self._state, self._listed, self._reader = _State.OBJECT, listed, CallReader()
        self._read(char, out)

    def _read(self, char: str, out: list[Delta]) -> None:
        reader = self._reader
        deltas = reader.push(char)
        if deltas:
            self._began(out)
            out += deltas
        if reader.done:
            self.calls += 1
            self._state = _State.LIST if self._listed else _State.CONTENT
        elif reader.failed:
            self._text = self._text or reader.raw
            self._back(out)

    def _named(self, char: str, out: list[Delta]) -> None:
        self._name += char
        if self._name.endswith(_ARGS) or char == "{":
            name = self._name.removesuffix(_ARGS).removesuffix("{").partition(_ID)[0].strip()
            if not name:
                self._back(out)
                return
            self._began(out)
            out.append(Begin(name))
            self._state, self._value = _State.ARGUMENTS, None
            if char == "{":
                self._argue(char, out)
        elif char == "\n" or self._name.endswith(_OPEN):
            self._back(out)

    def _argue(self, char: str, out: list[Delta]) -> None:
        if self._value is None:
            if char.isspace():
                return
            self._value = ValueReader(char)
            out.append(Arguments(char))
            return
        ended = self._value.push(char)
        if ended is not None:
            out.append(Arguments(char))
        if ended is not False:
            self.calls += 1
            self._state = _State.CONTENT

    def _began(self, out: list[Delta]) -> None:
        self._content.interrupt()
        self._text = ""

    def _back(self, out: list[Delta]) -> None:
        """It was no call, or no more of them."""
        text, self._text = self._text, ""
        self._state = _State.CONTENT
        self._content.say(text, out)
