"""`{"name": ..., "parameters": {...}}` as the whole answer, perhaps behind `<|python_tag|>`, as Llama 3 writes it.
Several are parted by `;`."""

import json
from collections.abc import Sequence

from omnipipe.families.llm.asked import Tool
from omnipipe.families.llm.tools.content import ContentText
from omnipipe.families.llm.tools.dialect import Delta, Dialect, Literal, ToolParser
from omnipipe.families.llm.tools.reader import CallReader
from omnipipe.families.llm.tools.schema import arguments_schema, quoted

__all__ = ["Llama3"]

_TAG = "<|python_tag|>"


class Llama3(Dialect):
    marks: tuple[str, ...] = (_TAG,)
    opening: str | None = None

    def parser(self, tools: Sequence[Tool]) -> "Llama3Parser":
        return Llama3Parser(frozenset(tool.function.name for tool in tools))

    def rules(self, tools: Sequence[Tool], *, parallel: bool, literal: Literal) -> str:
        bodies = []
        for tool in tools:
            head = '{"name": ' + json.dumps(tool.function.name) + ', "parameters": '
            bodies.append(f'{quoted(head)} %json {arguments_schema(tool)} "}}"')
        more = ' ("; " call)*' if parallel else ""
        return f"calls: call{more}\ncall: {' | '.join(bodies)}\n"


class Llama3Parser(ToolParser):
    """Only at the beginning of an answer, and only the names that there are: JSON is content as well."""

    def __init__(self, names: frozenset[str]) -> None:
        self.calls = 0
        self._names = names
        self._content = ContentText()
        self._start = ""
        """The beginning, while it is not known what it is."""
        self._reader: CallReader | None = None
        self._speaking = False

    @property
    def calling(self) -> bool:
        return not self._speaking

    def push(self, text: str) -> list[Delta]:
        out: list[Delta] = []
        for at, char in enumerate(text):
            if self._speaking:
                self._content.say(text[at:], out)
                break
            if self._reader is not None:
                self._read(self._reader, char, out)
            else:
                self._begin(char, out)
        return out

    def finish(self) -> list[Delta]:
        out: list[Delta] = []
        if not self._speaking:
            held = self._start
            if self._reader is not None and not self._reader.began:
                held += self._reader.raw
            self._content.say(held, out)
        self._content.finish(out)
        return out

    def _begin(self, char: str, out: list[Delta]) -> None:
        start = self._start + char
        seen = start.strip().removeprefix(_TAG).lstrip()
        if self.calls:
            seen = seen.removeprefix(";").lstrip()
        if seen == "{":
            self._start = start[:-1]
            self._reader = CallReader(self._names)
            self._read(self._reader, char, out)
        elif not seen or _TAG.startswith(start.strip()):
            self._start = start
        else:
            self._start = ""
            self._speak(start, out)

    def _read(self, reader: CallReader, char: str, out: list[Delta]) -> None:
        deltas = reader.push(char)
        if deltas:
            self._start = ""
            self._content.interrupt()
            out += deltas
        if reader.done:
            self.calls += 1
            self._reader = None
        elif reader.failed:
            self._reader = None
            start, self._start = self._start, ""
            self._speak(start + reader.raw, out)

    def _speak(self, text: str, out: list[Delta]) -> None:
        self._speaking = True
        self._content.say(text, out)
