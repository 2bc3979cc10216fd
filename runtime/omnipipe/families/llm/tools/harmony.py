"""Channels, as gpt-oss writes all that it says (OpenAI's harmony format):

    <|channel|>analysis<|message|>...<|end|>                                          reasoning
    <|start|>assistant<|channel|>commentary to=functions.name <|constrain|>json<|message|>{...}<|call|>
    <|start|>assistant<|channel|>final<|message|>...<|return|>                        the answer

Commentary without a recipient is said to the user. What is sent to somebody else (the browser that it was trained with)
is told as reasoning. The last mark is a stop token and may not be seen.
"""

import re
from collections.abc import Sequence
from enum import Enum, auto
from typing import Final

from omnipipe.families.llm.asked import Tool
from omnipipe.families.llm.marks import seek, seek_any
from omnipipe.families.llm.tools.dialect import Arguments, Begin, Content, Delta, Dialect, Literal, Thought
from omnipipe.families.llm.tools.reader import ValueReader
from omnipipe.families.llm.tools.schema import arguments_schema, quoted
from omnipipe.families.llm.tools.stepping import SteppingParser

__all__ = ["Harmony", "HarmonyParser"]

_START, _CHANNEL, _MESSAGE, _CONSTRAIN = "<|start|>", "<|channel|>", "<|message|>", "<|constrain|>"
_ENDS: Final = ("<|end|>", "<|call|>", "<|return|>", _START, _CHANNEL)
"""Of a message. Some messages end with the beginning of the next one."""
_HEADS: Final = (_CHANNEL, _START, "to=")
_MOST_HEAD: Final = 256
_RECIPIENT: Final = re.compile(r"\bto=([^\s<]+)")
_FUNCTION: Final = re.compile(r"functions\.([\w.\-]{1,64})", re.ASCII)
_GAP: Final = "\n\n"
"""Between two messages to the user, or two thoughts."""


class Harmony(Dialect):
    marks: tuple[str, ...] = (_START, _CHANNEL, _MESSAGE, _CONSTRAIN, "<|end|>", "<|call|>", "<|return|>")
    opening: str | None = None
    whole: bool = True
    ends: tuple[str, ...] = ("<|call|>", "<|return|>")

    def parser(self, tools: Sequence[Tool]) -> "HarmonyParser":
        return HarmonyParser()

    def rules(self, tools: Sequence[Tool], *, parallel: bool, literal: Literal) -> str:
        """It calls one function at a time."""
        bodies = [
            f"{quoted(tool.function.name + ' ')} {literal(_CONSTRAIN)} {quoted('json')} {literal(_MESSAGE)} "
            f"%json {arguments_schema(tool)}"
            for tool in tools
        ]
        head = f"{literal(_CHANNEL)} {quoted('commentary to=functions.')}"
        return f"calls: {head} body\nbody: {' | '.join(bodies)}\n"

    @staticmethod
    def final(rule: str, literal: Literal) -> str:
        """The rule `final`, over one for its text."""
        return f"final: {literal(_CHANNEL)} {quoted('final')} {literal(_MESSAGE)} {rule}\n"

    @staticmethod
    def start(answer: str, literal: Literal) -> str:
        """The rule `start`: thoughts and words to the user, then the answer."""
        begin = f"{literal(_CHANNEL)} ({quoted('analysis')} | {quoted('commentary')}) {literal(_MESSAGE)}"
        end = f"{literal('<|end|>')} {literal(_START)} {quoted('assistant')}"
        return f"start: before* ({answer})\nbefore: {begin} TEXT {end}\n"


class _State(Enum):
    HEAD = auto()
    CONTENT = auto()
    THOUGHT = auto()
    CALL = auto()  # its JSON has not begun
    ARGUMENTS = auto()
    SKIPPED = auto()  # behind the JSON of a call


class HarmonyParser(SteppingParser):
    def __init__(self) -> None:
        super().__init__()
        self._state = _State.HEAD
        self._name = ""
        self._value = ValueReader("{")
        self._said: dict[_State, bool] = {}
        self._between = False
        """The message is not the first of its kind, and nothing of it has been said."""

    @property
    def calling(self) -> bool:
        return self._state in (_State.CALL, _State.ARGUMENTS)

    @property
    def thinking(self) -> bool:  # type: ignore[override]  # it changes
        return self._state is _State.THOUGHT

    @property
    def apart(self) -> bool:  # type: ignore[override]
        return self._state is not _State.CONTENT

    def finish(self) -> list[Delta]:
        out: list[Delta] = []
        begun = self._text.lstrip().startswith(_HEADS)
        if self._state is _State.HEAD and not begun and self._text and (self._text.strip() or not self._said):
            self._open(_State.CONTENT)
        if self._state in (_State.CONTENT, _State.THOUGHT):
            self._say(self._text, out)
        return out

    def _step(self, out: list[Delta]) -> bool:
        match self._state:
            case _State.HEAD:
                return self._headed()
            case _State.CALL:
                return self._begin(out)
            case _State.ARGUMENTS:
                return self._argue(out)
            case _:
                return self._speak(out)

    def _headed(self) -> bool:
        """Up to where the message begins. What begins in no way that a head does is for the user."""
        text = self._text.lstrip()
        if not any(text.startswith(head) or head.startswith(text) for head in _HEADS):
            self._open(_State.CONTENT)
            return True
        at, found = seek(text, _MESSAGE)
        head = text[:at]
        if at > _MOST_HEAD:
            self._open(_State.CONTENT)
            return True
        if not found:
            return False
        self._text = text[at + len(_MESSAGE) :]
        recipient = _RECIPIENT.search(head)
        function = None if recipient is None else _FUNCTION.fullmatch(recipient.group(1))
        channel = head.rpartition(_CHANNEL)[2].split()
        if function is not None:
            self._name = function.group(1)
            self._open(_State.CALL)
        elif recipient is not None or channel[:1] == ["analysis"]:
            self._open(_State.THOUGHT)
        else:
            self._open(_State.CONTENT)
        return True

    def _open(self, state: _State) -> None:
        self._state = state
        self._between = self._said.get(state, False)

    def _speak(self, out: list[Delta]) -> bool:
        at, mark = seek_any(self._text, _ENDS)
        if self._state is not _State.SKIPPED:
            self._say(self._text[:at], out)
        self._text = self._text[at:]
        if mark:
            # A mark that begins the next message is part of its head.
            self._text = self._text if mark in _HEADS else self._text[len(mark) :]
            self._state = _State.HEAD
        return bool(mark)

    def _say(self, text: str, out: list[Delta]) -> None:
        if not text:
            return
        text = _GAP + text if self._between else text
        self._between = False
        self._said[self._state] = True
        out.append(Thought(text) if self._state is _State.THOUGHT else Content(text))

    def _begin(self, out: list[Delta]) -> bool:
        text = self._text.lstrip()
        if not text:
            return False
        if text[0] != "{":
            self._open(_State.CONTENT)  # it is no call
            return True
        out += [Begin(self._name), Arguments("{")]
        self._value = ValueReader("{")
        self._text = text[1:]
        self._state = _State.ARGUMENTS
        return True

    def _argue(self, out: list[Delta]) -> bool:
        for taken, char in enumerate(self._text, 1):
            if self._value.push(char):
                out.append(Arguments(self._text[:taken]))
                self._text = self._text[taken:]
                self.calls += 1
                self._state = _State.SKIPPED
                return True
        out.append(Arguments(self._text))
        self._text = ""
        return False
