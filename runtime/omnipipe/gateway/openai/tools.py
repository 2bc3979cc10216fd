"""Tools that a model may call, and the choice among them: what a request says, and whether it agrees with itself."""

import json
from collections.abc import Sequence
from typing import Annotated, Any, Literal

from msgspec import Meta

from omnipipe.gateway.openai import scalars
from omnipipe.gateway.openai.plain import check_schema
from omnipipe.gateway.openai.refusals import invalid, lacking

__all__ = [
    "AllowedChoice",
    "CustomChoice",
    "CustomTool",
    "Function",
    "FunctionChoice",
    "FunctionName",
    "FunctionTool",
    "Tool",
    "ToolChoice",
    "check_tools",
]


class Function(scalars.Body, frozen=True):
    name: scalars.Name
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class FunctionTool(scalars.Body, frozen=True, tag_field="type", tag="function"):
    function: Function


class CustomTool(scalars.Body, frozen=True, tag_field="type", tag="custom"):
    custom: dict[str, Any]


class FunctionName(scalars.Body, frozen=True):
    name: str


class FunctionChoice(scalars.Body, frozen=True, tag_field="type", tag="function"):
    function: FunctionName


class CustomChoice(scalars.Body, frozen=True, tag_field="type", tag="custom"):
    custom: FunctionName


class AllowedTools(scalars.Body, frozen=True):
    mode: Literal["auto", "required"]
    tools: Annotated[list[FunctionChoice | CustomChoice], Meta(min_length=1, max_length=128)]


class AllowedChoice(scalars.Body, frozen=True, tag_field="type", tag="allowed_tools"):
    allowed_tools: AllowedTools


Tool = FunctionTool | CustomTool
ToolChoice = Literal["none", "auto", "required"] | FunctionChoice | CustomChoice | AllowedChoice


def check_tools(tools: Sequence[Tool] | None, choice: ToolChoice | None, parallel: bool | None) -> None:
    """Raises RequestError when they do not agree with each other. Whether the model can call tools at all is
    checked elsewhere."""
    names = [_checked_name(tool, f"tools[{index}]") for index, tool in enumerate(tools or ())]
    for index, name in enumerate(names):
        if name in names[:index]:
            path = f"tools[{index}].function.name"
            raise invalid(f"Two of the 'tools' are called '{name}'; give each a name of its own.", path)
    if not names and choice not in (None, "none", "auto"):
        raise invalid("'tool_choice' is only allowed when 'tools' are specified.", "tool_choice")
    if not names and parallel:
        raise invalid("'parallel_tool_calls' is only allowed when 'tools' are specified.", "parallel_tool_calls")
    for path, chosen in _chosen(choice):
        if isinstance(chosen, CustomChoice):
            raise lacking(f"{path}.type", "custom tools; use a tool of type 'function'")
        if chosen.function.name not in names:
            known = ", ".join(map(repr, names))
            raise invalid(
                f"'{path}' names the function '{chosen.function.name}', which is not among the 'tools': {known}.", path
            )


def _checked_name(tool: Tool, path: str) -> str:
    if isinstance(tool, CustomTool):
        raise lacking(f"{path}.type", "custom tools; use a tool of type 'function'")
    if tool.function.parameters is not None:
        _check_parameters(tool.function.parameters, tool.function.name, f"{path}.function.parameters")
    return tool.function.name


def _check_parameters(schema: dict[str, Any], name: str, path: str) -> None:
    """In OpenAI's words. Arguments are an object: of another type they could never be sent back."""
    check_schema(schema, path)
    kind = schema.get("type", "object")
    if kind != "object" and not (isinstance(kind, list) and "object" in kind):
        shown = f"'type: {json.dumps(kind)}'" if isinstance(kind, str) and len(kind) < 40 else "another type"
        raise invalid(
            f"Invalid schema for function '{name}': schema must be a JSON Schema of 'type: \"object\"', got {shown}.",
            path,
            "invalid_function_parameters",
        )


def _chosen(choice: ToolChoice | None) -> Sequence[tuple[str, FunctionChoice | CustomChoice]]:
    """Each tool that the choice speaks of, with its path."""
    match choice:
        case FunctionChoice() | CustomChoice():
            return [("tool_choice", choice)]
        case AllowedChoice(allowed_tools=allowed):
            return [(f"tool_choice.allowed_tools.tools[{index}]", tool) for index, tool in enumerate(allowed.tools)]
        case _:
            return []
