"""Calls in a section of their own, each with a head and JSON: as DeepSeek's and Kimi's models write them.

    section, call, head, arguments' mark, JSON, end of the call, ..., end of the section

The head is the name (DeepSeek V3.1) or `functions.name:0` (Kimi K2); older models of DeepSeek say `function`, and have
the name and JSON in a fence behind the mark.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from omnipipe.families.llm.asked import Tool
from omnipipe.families.llm.marks import seek, seek_any
from omnipipe.families.llm.tools.dialect import Arguments, Begin, Delta, Dialect, Literal
from omnipipe.families.llm.tools.reader import ValueReader
from omnipipe.families.llm.tools.schema import arguments_schema, quoted
from omnipipe.families.llm.tools.stepping import SteppingParser

__all__ = ["DeepSeek", "Kimi", "SectionParser"]

_NAME: Final = re.compile(r"(?:functions\.)?([\w.\-]{1,64}?)(?::\d+)?", re.ASCII)
_FENCE: Final = "```json"
_MOST_HEAD: Final = 256


@dataclass(frozen=True, slots=True)
class Marks:
    open: str
    call: str
    arguments: str
    """Between the head and what belongs to it."""
    end: str
    """Of a call."""
    close: str


_DEEPSEEK: Final = Marks(
    "<｜tool▁calls▁begin｜>", "<｜tool▁call▁begin｜>", "<｜tool▁sep｜>", "<｜tool▁call▁end｜>", "<｜tool▁calls▁end｜>"
)
_KIMI: Final = Marks(
    "<|tool_calls_section_begin|>", "<|tool_call_begin|>", "<|tool_call_argument_begin|>", "<|tool_call_end|>",
    "<|tool_calls_section_end|>",
)  # fmt: skip


class DeepSeek(Dialect):
    marks: tuple[str, ...] = (_DEEPSEEK.open, _DEEPSEEK.call, _DEEPSEEK.arguments, _DEEPSEEK.end, _DEEPSEEK.close)
    opening: str | None = _DEEPSEEK.open

    def __init__(self, *, fenced: bool) -> None:
        """`fenced`: the older form. The parser reads both."""
        self._fenced = fenced

    def parser(self, tools: Sequence[Tool]) -> "SectionParser":
        return SectionParser(_DEEPSEEK)

    def rules(self, tools: Sequence[Tool], *, parallel: bool, literal: Literal) -> str:
        def head(name: str) -> str:
            if self._fenced:
                return f'"function" {literal(_DEEPSEEK.arguments)} ' + quoted(f"{name}\n{_FENCE}\n")
            return f"{quoted(name)} {literal(_DEEPSEEK.arguments)}"

        bodies = [f"{head(tool.function.name)} %json {arguments_schema(tool)}" for tool in tools]
        return _rules(_DEEPSEEK, bodies, literal, parallel=parallel, tail='"\\n```" ' if self._fenced else "")


class Kimi(Dialect):
    marks: tuple[str, ...] = (_KIMI.open, _KIMI.call, _KIMI.arguments, _KIMI.end, _KIMI.close)
    opening: str | None = _KIMI.open

    def parser(self, tools: Sequence[Tool]) -> "SectionParser":
        return SectionParser(_KIMI)

    def call_id(self, name: str, index: int) -> str:
        """Its templates show it to the model, which expects this form."""
        return f"functions.{name}:{index}"

    def rules(self, tools: Sequence[Tool], *, parallel: bool, literal: Literal) -> str:
        bodies = [
            f"{quoted(f'functions.{tool.function.name}:')} /[0-9]{{1,3}}/ {literal(_KIMI.arguments)} "
            f"%json {arguments_schema(tool)}"
            for tool in tools
        ]
        return _rules(_KIMI, bodies, literal, parallel=parallel, tail="")


def _rules(marks: Marks, bodies: Sequence[str], literal: Literal, *, parallel: bool, tail: str) -> str:
    more = " call*" if parallel else ""
    return (
        f"calls: {literal(marks.open)} opened\nopened: call{more} {literal(marks.close)}\n"
        f"call: {literal(marks.call)} body {tail}{literal(marks.end)}\nbody: {' | '.join(bodies)}\n"
    )


class _State(Enum):
    CONTENT = auto()
    SECTION = auto()  # between two calls
    HEAD = auto()
    BEFORE = auto()  # behind the head, before the arguments
    ARGUMENTS = auto()
    TAIL = auto()  # behind the arguments, before the end of the call


class SectionParser(SteppingParser):
    def __init__(self, marks: Marks) -> None:
        super().__init__()
        self._marks = marks
        self._state = _State.CONTENT
        self._raw = ""
        """All since content ended, while no call has begun."""
        self._head = ""
        self._value: ValueReader | None = None

    @property
    def calling(self) -> bool:
        return self._state is not _State.CONTENT

    def _step(self, out: list[Delta]) -> bool:
        marks = self._marks
        match self._state:
            case _State.CONTENT:
                return self._speak(out)
            case _State.SECTION:
                return self._section(out)
            case _State.HEAD:
                return self._headed(out)
            case _State.BEFORE:
                return self._begin(out)
            case _State.ARGUMENTS:
                return self._argue(out)
            case _State.TAIL:
                states = {marks.end: _State.SECTION, marks.close: _State.CONTENT, marks.call: _State.HEAD}
                at, mark = seek_any(self._text, tuple(states))
                self._text = self._text[at + len(mark) :]  # what is written in between means nothing
                self._state = states.get(mark, self._state)
                return bool(mark)

    def _speak(self, out: list[Delta]) -> bool:
        at, mark = seek_any(self._text, (self._marks.open, self._marks.call))
        self._content.say(self._text[:at], out)
        self._text = self._text[at + len(mark) :]
        if mark:
            self._raw = mark
            self._state = _State.SECTION if mark == self._marks.open else _State.HEAD
        return bool(mark)

    def _section(self, out: list[Delta]) -> bool:
        marks = self._marks
        at, mark = seek_any(self._text, (marks.call, marks.close))
        if self._raw and self._text[:at].strip():
            return self._back(out)
        if self._raw:
            self._raw += self._text[: at + len(mark)]
        self._text = self._text[at + len(mark) :]
        if mark:
            self._state = _State.HEAD if mark == marks.call else _State.CONTENT
        return bool(mark)

    def _headed(self, out: list[Delta]) -> bool:
        mark = self._marks.arguments
        at, found = seek(self._text, mark)
        if at > _MOST_HEAD:
            return self._back(out)
        if not found:
            return False
        self._head = self._text[:at].strip()
        self._take(at + len(mark))
        self._state = _State.BEFORE
        return True

    def _begin(self, out: list[Delta]) -> bool:
        """`{` or the call's end decide; before that a name may come, and a fence."""
        text = self._text.lstrip()
        head = self._head
        if not text.startswith(("{", self._marks.end)):
            if self._marks.end.startswith(text):
                return False
            name, line, rest = text.partition("\n")
            if not line:
                return self._back(out) if len(text) > _MOST_HEAD else False
            rest = rest.lstrip()
            if _FENCE.startswith(rest):
                return False
            rest = rest.removeprefix(_FENCE).lstrip()
            if not rest:
                return False
            head = name.strip()
            text = rest
        found = _NAME.fullmatch(head)
        if found is None or not text.startswith(("{", self._marks.end)):
            return self._back(out)
        self._content.interrupt()
        self._raw = ""
        out.append(Begin(found.group(1)))
        self._text, self._value, self._state = text, None, _State.ARGUMENTS
        return True

    def _argue(self, out: list[Delta]) -> bool:
        if self._value is None:
            if self._text[0] != "{":
                out.append(Arguments("{}"))
                return self._called()
            self._value = ValueReader("{")
            out.append(Arguments("{"))
            self._text = self._text[1:]
        for taken, char in enumerate(self._text, 1):
            if self._value.push(char):
                out.append(Arguments(self._text[:taken]))
                self._text = self._text[taken:]
                return self._called()
        if self._text:
            out.append(Arguments(self._text))
            self._text = ""
        return False

    def _called(self) -> bool:
        self.calls += 1
        self._state = _State.TAIL
        return True

    def _take(self, size: int) -> None:
        if self._raw:
            self._raw += self._text[:size]
        self._text = self._text[size:]

    def _back(self, out: list[Delta]) -> bool:
        """It was no call. Its mark is content, and what came behind it is looked at again."""
        mark = self._marks.open if self._raw.startswith(self._marks.open) else self._marks.call
        if self._raw:
            self._content.say(mark, out)
            self._text = self._raw[len(mark) :] + self._text
        self._raw = ""
        self._state = _State.CONTENT
        return True
