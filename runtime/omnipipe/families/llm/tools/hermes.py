"""`<tool_call>{"name": ..., "arguments": {...}}</tool_call>`, as Hermes and Qwen models write it."""

import json
from collections.abc import Sequence

from omnipipe.families.llm.asked import Tool
from omnipipe.families.llm.marks import seek
from omnipipe.families.llm.tools.dialect import Delta, Dialect, Literal
from omnipipe.families.llm.tools.reader import CallReader
from omnipipe.families.llm.tools.schema import arguments_schema, quoted
from omnipipe.families.llm.tools.stepping import SteppingParser

__all__ = ["Hermes"]

_OPEN, _CLOSE = "<tool_call>", "</tool_call>"


class Hermes(Dialect):
    marks: tuple[str, ...] = (_OPEN, _CLOSE)
    opening: str | None = _OPEN

    def parser(self, tools: Sequence[Tool]) -> "HermesParser":
        return HermesParser()

    def rules(self, tools: Sequence[Tool], *, parallel: bool, literal: Literal) -> str:
        bodies = []
        for tool in tools:
            head = '{"name": ' + json.dumps(tool.function.name) + ', "arguments": '
            bodies.append(f'{quoted(head)} %json {arguments_schema(tool)} "}}"')
        more = r' ("\n" call)*' if parallel else ""
        return (
            f"calls: {literal(_OPEN)} opened\nopened: rest{more}\ncall: {literal(_OPEN)} rest\n"
            rf'rest: "\n" body "\n" {literal(_CLOSE)}' + "\n"
            f"body: {' | '.join(bodies)}\n"
        )


class HermesParser(SteppingParser):
    def __init__(self) -> None:
        super().__init__()
        self._reader: CallReader | None = None
        self._closing = False
        """Behind a call, before its end is marked."""

    @property
    def calling(self) -> bool:
        return self._reader is not None or self._closing

    def _step(self, out: list[Delta]) -> bool:
        before = self._text, self._reader
        if self._reader is not None:
            self._read(self._reader, out)
        elif self._closing:
            self._close()
        else:
            self._speak(out)
        return (self._text, self._reader) != before

    def _speak(self, out: list[Delta]) -> None:
        at, found = seek(self._text, _OPEN)
        self._content.say(self._text[:at], out)
        self._text = self._text[at:]
        if found:
            self._text = self._text[len(_OPEN) :]
            self._reader = CallReader()

    def _read(self, reader: CallReader, out: list[Delta]) -> None:
        taken = 0
        while taken < len(self._text) and not (reader.done or reader.failed):
            deltas = reader.push(self._text[taken])
            taken += 1
            if deltas:
                self._content.interrupt()
                out += deltas
        self._text = self._text[taken:]
        if reader.done or reader.failed:
            self._reader = None
            self._closing = reader.began
            self.calls += reader.done
            if not reader.began:
                self._content.say(_OPEN, out)
                self._text = reader.raw + self._text

    def _close(self) -> None:
        """What a model writes between a call and its end means nothing: a brace too many, mostly."""
        at, found = seek(self._text, _CLOSE)
        self._text = self._text[at + len(_CLOSE) :] if found else self._text[at:]
        self._closing = not found
