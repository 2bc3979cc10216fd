"""The port of a syntax for tool calls, and what its parser finds."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from omnipipe.families.llm.asked import Tool

__all__ = ["Arguments", "Begin", "Content", "Delta", "Dialect", "Literal", "ToolParser"]


@dataclass(frozen=True, slots=True)
class Content:
    text: str


@dataclass(frozen=True, slots=True)
class Begin:
    """A call begins; what follows belongs to it until the next one does."""

    name: str


@dataclass(frozen=True, slots=True)
class Arguments:
    """More of the current call's JSON."""

    text: str


Delta = Content | Begin | Arguments


class ToolParser(Protocol):
    """One answer. `push` what comes, `finish` once at the end."""

    calls: int
    """Complete ones so far."""

    @property
    def calling(self) -> bool:
        """What comes next is no content, as far as is known."""

    def push(self, text: str) -> list[Delta]: ...

    def finish(self) -> list[Delta]: ...


Literal = Callable[[str], str]
"""A text as a grammar writes it: the special token of that name where there is one, else a string."""


class Dialect(Protocol):
    marks: tuple[str, ...]
    """What the tokenizer may have as special tokens and must be seen all the same."""
    opening: str | None
    """What every call begins with; None: a call is the whole answer."""

    def parser(self, names: frozenset[str]) -> ToolParser:
        """`names`: the functions that there are."""

    def call_id(self) -> str: ...

    def rules(self, tools: Sequence[Tool], *, parallel: bool, literal: Literal) -> str:
        """Grammar rules of which `calls` is one call, or with `parallel` several, and `opened` the same behind
        `opening`, if there is one. Names and arguments are those of `tools`."""
