"""A message as chat templates take them."""

from typing import Any

from omnipipe.families.llm.inner_json import read_object
from omnipipe.families.requests import Message, ToolCall

__all__ = ["template_message"]


def template_message(message: Message, content: str | list[dict[str, str]], path: str) -> dict[str, Any]:
    """`content`: its text, or its parts, as the template has them; `path`: what the client calls it. Raises
    RequestError."""
    said: dict[str, Any] = {"role": message.role, "content": content}
    if message.name is not None:
        said["name"] = message.name
    if message.reasoning is not None:
        said["reasoning_content"] = message.reasoning
    if message.tool_call_id is not None:
        said["tool_call_id"] = message.tool_call_id
    if message.tool_calls:
        said["tool_calls"] = [
            _call(call, f"{path}.tool_calls[{index}]") for index, call in enumerate(message.tool_calls)
        ]
    return said


def _call(call: ToolCall, path: str) -> dict[str, Any]:
    """Templates write the arguments themselves, so they take them as data."""
    path += ".function.arguments"
    arguments = read_object(call.arguments or "{}", path, "object")
    return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": arguments}}
