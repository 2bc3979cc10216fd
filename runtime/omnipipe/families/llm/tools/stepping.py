"""What parsers have in common that go from one mark to the next: text waits until there is enough of it for a step."""

from abc import abstractmethod

from omnipipe.families.llm.tools.content import ContentText
from omnipipe.families.llm.tools.dialect import Delta, ToolParser

__all__ = ["SteppingParser"]


class SteppingParser(ToolParser):
    def __init__(self) -> None:
        self.calls = 0
        self._content = ContentText()
        self._text = ""
        """Not looked at yet, or not enough of it."""

    @abstractmethod
    def _step(self, out: list[Delta]) -> bool:
        """There is text. False: more of it is needed."""

    def push(self, text: str) -> list[Delta]:
        out: list[Delta] = []
        self._text += text
        while self._text and self._step(out):
            pass
        return out

    def finish(self) -> list[Delta]:
        """What waits is content after all, unless it belongs to a call."""
        out: list[Delta] = []
        if not self.calling:
            self._content.say(self._text, out)
            self._content.finish(out)
        return out
