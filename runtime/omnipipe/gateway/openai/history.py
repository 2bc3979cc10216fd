"""Calls of tools and their results in a conversation belong together: each call is answered, in the messages right
after it, and nothing is answered that was not called."""

from collections.abc import Sequence

from omnipipe.families.requests import Message
from omnipipe.gateway.openai.refusals import invalid

__all__ = ["check_history"]


def check_history(messages: Sequence[Message]) -> None:
    """Raises RequestError naming the message at fault, in OpenAI's words."""
    called: set[str] = set()
    open_calls: dict[str, None] = {}
    caller = 0
    for index, message in enumerate(messages):
        if message.role == "tool":
            _answer(message, index, called, open_calls)
            continue
        _check_answered(open_calls, caller)
        called, caller = set(), index
        for at, call in enumerate(message.tool_calls):
            if call.id in called:
                path = f"messages[{index}].tool_calls[{at}].id"
                raise invalid(f"Invalid parameter: '{path}' is '{call.id}', as another call's in this message.", path)
            called.add(call.id)
            open_calls[call.id] = None
    _check_answered(open_calls, caller)


def _answer(message: Message, index: int, called: set[str], open_calls: dict[str, None]) -> None:
    if not called:
        raise invalid(
            "Invalid parameter: messages with role 'tool' must be a response to a preceding message with 'tool_calls'.",
            f"messages[{index}].role",
        )
    answered = message.tool_call_id or ""
    path = f"messages[{index}].tool_call_id"
    if answered not in called:
        raise invalid(
            f"Invalid parameter: 'tool_call_id' of '{answered}' not found in 'tool_calls' of previous message.", path
        )
    if answered not in open_calls:
        raise invalid(f"Invalid parameter: '{path}' of '{answered}' was answered before.", path)
    del open_calls[answered]


def _check_answered(open_calls: dict[str, None], caller: int) -> None:
    if open_calls:
        raise invalid(
            "An assistant message with 'tool_calls' must be followed by tool messages responding to each "
            "'tool_call_id'. The following tool_call_ids did not have response messages: " + ", ".join(open_calls),
            f"messages[{caller}]",
        )
