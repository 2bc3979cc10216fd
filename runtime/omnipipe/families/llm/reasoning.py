"""Tells a model's reasoning from its answer: what stands between `<think>` and `</think>`."""

from enum import Enum, auto
from typing import Final

from omnipipe.families.llm.marks import seek

__all__ = ["CLOSE", "OPEN", "Reasoning", "Thinking", "thinking_after"]

OPEN: Final = "<think>"
CLOSE: Final = "</think>"


class Thinking(Enum):
    """How an answer begins."""

    NEVER = auto()
    MAYBE = auto()  # it may open with the tag
    OPENED = auto()  # the prompt ends inside of it


def thinking_after(prompt: str) -> Thinking:
    """Of a model that reasons, behind this prompt."""
    end = prompt.rstrip()
    if end.endswith(OPEN):
        return Thinking.OPENED
    return Thinking.NEVER if end.endswith(CLOSE) else Thinking.MAYBE


class Reasoning:
    """One answer. `push` gives (reasoning, answer); the white space around the tags belongs to neither."""

    __slots__ = ("_fresh", "_state", "_text", "inside")

    def __init__(self, thinking: Thinking) -> None:
        self.inside = thinking is Thinking.OPENED
        self._state = thinking
        self._fresh = self.inside
        """Nothing but white space has come since a tag."""
        self._text = ""
        """Not told yet."""

    def push(self, text: str) -> tuple[str, str]:
        if self._state is Thinking.NEVER:
            return "", self._trimmed(text)
        self._text += text
        if self._state is Thinking.MAYBE:
            start = self._text.lstrip()
            if len(start) < len(OPEN) and OPEN.startswith(start):
                return "", ""
            if not start.startswith(OPEN):
                self._state = Thinking.NEVER
                text, self._text = self._text, ""
                return "", text
            self._text = start[len(OPEN) :]
            self._state, self.inside, self._fresh = Thinking.OPENED, True, True
        return self._think()

    def finish(self) -> tuple[str, str]:
        text, self._text = self._text, ""
        return (text, "") if self.inside else ("", text)

    def _think(self) -> tuple[str, str]:
        text = self._trimmed(self._text)
        at, found = seek(text, CLOSE)
        said = text[:at].rstrip()
        if not found:
            # White space before the closing tag is held: it may be the last.
            self._text = text[len(said) :]
            return said, ""
        self._state, self.inside, self._fresh, self._text = Thinking.NEVER, False, True, ""
        return said, self._trimmed(text[at + len(CLOSE) :])

    def _trimmed(self, text: str) -> str:
        if self._fresh:
            text = text.lstrip()
            self._fresh = not text
        return text
