"""What a model says, told apart as it comes: reasoning, content and tool calls, as the pieces that clients get.

Whatever the chunks, the joined deltas are the same. Knows text alone, no tokens.
"""

from collections.abc import Callable, Sequence

from omnipipe.families.llm.reasoning import Reasoning
from omnipipe.families.llm.tools.dialect import Arguments, Begin, Content, Delta, Thought, ToolParser
from omnipipe.families.text_pieces import CallPiece, TextPiece

__all__ = ["Speech"]


class Speech:
    def __init__(self, reasoning: Reasoning, tools: ToolParser | None, call_id: Callable[[str, int], str]) -> None:
        self._reasoning = reasoning
        self._tools = tools
        self._call_id = call_id
        self._begun = 0

    @property
    def reasoning(self) -> bool:
        return self._reasoning.inside or (self._tools is not None and self._tools.thinking)

    @property
    def apart(self) -> bool:
        """Inside of reasoning or of a call: what comes next is no content."""
        if self._reasoning.inside or self._tools is None:
            return self._reasoning.inside
        return self._tools.apart or (self.called and self._tools.calling)

    @property
    def calls(self) -> int:
        """Complete ones."""
        return 0 if self._tools is None else self._tools.calls

    @property
    def called(self) -> bool:
        """A call has begun at least."""
        return self._begun > 0

    def push(self, text: str) -> TextPiece:
        thought, said = self._reasoning.push(text)
        if self._tools is None:
            return _piece(thought, said, [])
        return self._told(thought, self._tools.push(said) if said else [])

    def finish(self) -> TextPiece:
        thought, said = self._reasoning.finish()
        if self._tools is None:
            return _piece(thought, said, [])
        return self._told(thought, [*self._tools.push(said), *self._tools.finish()])

    def _told(self, thought: str, deltas: Sequence[Delta]) -> TextPiece:
        said = ""
        calls: list[CallPiece] = []
        for delta in deltas:
            match delta:
                case Content(text):
                    said += text
                case Thought(text):
                    thought += text
                case Begin(name):
                    id = self._call_id(name, self._begun)
                    calls.append({"index": self._begun, "id": id, "name": name, "arguments": ""})
                    self._begun += 1
                case Arguments(text) if calls:
                    calls[-1]["arguments"] += text
                case Arguments(text):
                    calls.append({"index": self._begun - 1, "arguments": text})
        return _piece(thought, said, calls)


def _piece(thought: str, said: str, calls: list[CallPiece]) -> TextPiece:
    piece: TextPiece = {}
    if thought:
        piece["reasoning"] = thought
    if said:
        piece["content"] = said
    if calls:
        piece["tool_calls"] = calls
    return piece
