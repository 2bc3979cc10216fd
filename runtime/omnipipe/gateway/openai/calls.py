"""Calls of tools in an answer: deltas as they come, and what they add up to."""

from collections.abc import Sequence
from typing import Literal

import msgspec

from omnipipe.families.text_pieces import CallPiece

__all__ = ["CalledFunction", "Calls", "ToolCall", "ToolCallDelta"]


class CalledFunction(msgspec.Struct, frozen=True):
    name: str
    arguments: str
    """JSON text."""


class ToolCall(msgspec.Struct, frozen=True):
    id: str
    type: Literal["function"]
    function: CalledFunction


class FunctionDelta(msgspec.Struct, frozen=True, omit_defaults=True):
    name: str | msgspec.UnsetType = msgspec.UNSET
    arguments: str | msgspec.UnsetType = msgspec.UNSET


class ToolCallDelta(msgspec.Struct, frozen=True, omit_defaults=True):
    index: int
    id: str | msgspec.UnsetType = msgspec.UNSET
    type: Literal["function"] | msgspec.UnsetType = msgspec.UNSET
    function: FunctionDelta | msgspec.UnsetType = msgspec.UNSET


class Calls:
    """All calls of one choice. Raises TypeError for deltas that add up to no call: a client would be lost with them."""

    __slots__ = ("_calls",)

    def __init__(self) -> None:
        self._calls: list[tuple[str, str, list[str]]] = []
        """Id, name and what the arguments add up from, by index."""

    def add(self, piece: CallPiece) -> ToolCallDelta:
        """As the stream shows it: id and name come once, with the first."""
        index, arguments = piece["index"], piece.get("arguments", "")
        if index < len(self._calls):
            if "id" in piece or "name" in piece:
                raise TypeError(f"a text output named tool call {index} twice")
            self._calls[index][2].append(arguments)
            return ToolCallDelta(index, function=FunctionDelta(arguments=arguments))
        if index != len(self._calls) or "id" not in piece or "name" not in piece:
            raise TypeError(f"a text output began tool call {index} without its id and name, or out of turn")
        self._calls.append((piece["id"], piece["name"], [arguments]))
        return ToolCallDelta(index, piece["id"], "function", FunctionDelta(piece["name"], arguments))

    def all(self) -> Sequence[ToolCall]:
        return [
            ToolCall(id, "function", CalledFunction(name, "".join(arguments))) for id, name, arguments in self._calls
        ]
