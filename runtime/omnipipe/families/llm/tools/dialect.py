"""The port of a syntax for tool calls, and what its parser finds."""

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from omnipipe.families.llm.asked import Tool

__all__ = ["Arguments", "Begin", "Content", "Delta", "Dialect", "Literal", "Thought", "ToolParser"]


@dataclass(frozen=True, slots=True)
class Content:
    text: str


@dataclass(frozen=True, slots=True)
class Thought:
    """Reasoning, of a syntax that has a place for it."""

    text: str


@dataclass(frozen=True, slots=True)
class Begin:
    """A call begins; what follows belongs to it until the next one does."""

    name: str


@dataclass(frozen=True, slots=True)
class Arguments:
    """More of the current call's JSON."""

    text: str


Delta = Content | Thought | Begin | Arguments


class ToolParser(Protocol):
    """One answer. `push` what comes, `finish` once at the end."""

    calls: int
    """Complete ones so far."""
    thinking: bool = False
    """What comes next is reasoning."""
    apart: bool = False
    """What comes next is no content, whether a call has begun or not."""

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
    whole: bool = False
    """It is the syntax of all that is said, reasoning included, whether there are tools or not."""

    ends: tuple[str, ...] = ()
    """Special tokens that end an answer, whether the model's configuration says so or not."""

    def parser(self, tools: Sequence[Tool]) -> ToolParser:
        """`tools`: the functions that there are."""

    def call_id(self, name: str, index: int) -> str:
        """Of the answer's call number `index`. As OpenAI's, where the model has no form of its own."""
        return f"call_{secrets.token_hex(12)}"

    def rules(self, tools: Sequence[Tool], *, parallel: bool, literal: Literal) -> str:
        """Grammar rules of which `calls` is one call, or with `parallel` several, and `opened` the same behind
        `opening`, if there is one. Names and arguments are those of `tools`."""
