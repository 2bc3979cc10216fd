"""Messages to a prompt, by the model's own chat template.

A template is a program of the model's author: what it raises is told to the client as a fault of the messages. Must not
decide anything about generating.
"""

import json
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import jinja2
import jinja2.meta
import msgspec

from omnipipe.families.llm.asked import Options, Tool, invalid

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

__all__ = ["ChatTemplate"]

_OURS: Final = frozenset(
    {"messages", "tools", "documents", "add_generation_prompt", "continue_final_message", "raise_exception",
     "strftime_now", "bos_token", "eos_token", "pad_token", "unk_token"}
)  # fmt: skip
"""Variables that the client does not set by `chat_template_kwargs`."""

_JOINED: Final = re.compile(r"arguments['\"]?\]?\s*\+")
"""Arguments put together with other texts: they are to be a text themselves, where others want the data."""

_GENERATION = re.compile(r"\{%-?\s*(end)?generation\s*-?%\}")
"""A block of transformers' own, which plain Jinja cannot parse."""


class ChatTemplate:
    """`text`: Jinja; empty when the model has none."""

    def __init__(self, tokenizer: "PreTrainedTokenizerBase", text: str) -> None:
        self._tokenizer = tokenizer
        self.text = text
        self._variables = _variables(text)
        self._knows_developer = "developer" in text
        self._joins_arguments = _JOINED.search(text) is not None
        self._knows_thinking = ".thinking" in text and "reasoning_content" not in text

    def render(
        self,
        messages: Sequence[dict[str, Any]],
        tools: Sequence[Tool] = (),
        variables: dict[str, Any] | None = None,
        *,
        answer: bool = True,
    ) -> str:
        """`answer`: up to where the answer begins. Raises RequestError."""
        if not self.text:
            raise invalid("This model has no chat template: ask it through /v1/completions.", "messages")
        for name in variables or {}:
            if name not in self._variables:
                known = ", ".join(sorted(self._variables)) or "none"
                message = f"The model's chat template has no variable '{name}'. It has: {known}."
                raise invalid(message, f"chat_template_kwargs.{name}", "unknown_parameter")
        try:
            text = self._tokenizer.apply_chat_template(
                [self._said(message) for message in messages],
                tools=[msgspec.to_builtins(tool) for tool in tools] or None,
                chat_template=self.text,
                add_generation_prompt=answer,
                tokenize=False,
                **(variables or {}),
            )
        except (jinja2.TemplateError, TypeError, ValueError, KeyError, IndexError) as error:
            reason = " ".join(str(error).split())[:300] or type(error).__name__
            raise invalid(f"The model's chat template does not take these messages: {reason}", "messages") from error
        return str(text)

    def variables(self, options: Options) -> dict[str, Any]:
        """What the request sets in the template. Raises RequestError for an effort that would have no effect."""
        variables = dict(options.chat_template_kwargs)
        effort = options.reasoning_effort
        if effort is None:
            return variables
        if "reasoning_effort" in self._variables:
            return {"reasoning_effort": effort, **variables}
        if effort == "none" and "enable_thinking" in self._variables:
            return {"enable_thinking": False, **variables}
        if effort == "none" and "<think>" not in self.text:
            return variables  # as it is anyway
        can = " It can be turned off with 'none'." if "enable_thinking" in self._variables else ""
        raise invalid(f"This model has no levels of reasoning effort.{can}", "reasoning_effort")

    def _said(self, message: dict[str, Any]) -> dict[str, Any]:
        """In the words that the template has for it."""
        if self._joins_arguments and "tool_calls" in message:
            message = {**message, "tool_calls": [_as_text(call) for call in message["tool_calls"]]}
        if self._knows_thinking and "reasoning_content" in message and not message.get("content"):
            message = {**message, "thinking": message["reasoning_content"]}
        if message.get("role") == "developer" and not self._knows_developer:
            return {**message, "role": "system"}
        return message


def _as_text(call: dict[str, Any]) -> dict[str, Any]:
    function = call["function"]
    text = json.dumps(function["arguments"], ensure_ascii=False)
    return {**call, "function": {**function, "arguments": text}}


def _variables(text: str) -> frozenset[str]:
    """What a template reads from outside."""
    environment = jinja2.Environment(extensions=["jinja2.ext.loopcontrols"])
    try:
        names = jinja2.meta.find_undeclared_variables(environment.parse(_GENERATION.sub("", text)))
    except jinja2.TemplateSyntaxError:
        return frozenset()  # rendering will say so
    return frozenset(names) - _OURS
