"""A client's request as the llm stage takes it. Runs in the gateway: no torch, no tokenizer.

Checked here is what can be seen without a model: how fields relate to each other, and that messages are such as a chat
template can take. What needs the template or the context's size is the stage's to refuse.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from omnipipe.errors import ErrorKind, RequestError
from omnipipe.families.llm.asked import Chat, Completion, Detokenize, Options, Tokenize, invalid, read_options
from omnipipe.families.llm.checks import check_options, check_tools
from omnipipe.families.llm.graph import FAMILY
from omnipipe.families.llm.template_messages import template_message
from omnipipe.families.requests import (
    Capability,
    DetokenizeRequest,
    Entry,
    MediaKind,
    Message,
    TextRequest,
    TokenizeRequest,
)
from omnipipe.spec.suggest import meant
from omnipipe.wire.value import Value

__all__ = ["LlmRequests"]

_TEXT: Final = frozenset({"text"})
_TOKENIZE_OPTIONS: Final = frozenset(
    {"add_special_tokens", "add_generation_prompt", "return_token_strs", "tools", "chat_template_kwargs"}
)


class LlmRequests:
    """`families.requests.Requests` and `TokenizeRequests` of the llm family."""

    capabilities: frozenset[Capability] = frozenset({"chat", "completion", "tokenize"})
    options: frozenset[str] = frozenset(Options.__struct_fields__) | {"n"}
    media: frozenset[MediaKind] = frozenset()
    voices: frozenset[str] = frozenset()
    audio_formats: frozenset[str] = frozenset()
    sample_rate_hz: int = 0

    def entry(self, request: TextRequest) -> Entry:
        options = read_options(request.options)
        check_options(options)
        if request.kind == "chat":
            check_tools(options)
            if options.top_logprobs and not options.logprobs:
                raise invalid("'top_logprobs' needs 'logprobs' to be true.", "top_logprobs")
            return _entry(Chat(_messages(request.messages), options))
        prompt = _prompt(request.messages) if request.tokens is None else list(request.tokens)
        return _entry(Completion(prompt, options))

    def entry_tokenize(self, request: TokenizeRequest) -> Entry:
        for name in request.options:
            if name not in _TOKENIZE_OPTIONS:
                raise invalid(f"'{name}' means nothing here{meant(name, _TOKENIZE_OPTIONS)}.", name)
        if (request.prompt is None) == (not request.messages):
            raise invalid("Give either 'prompt' or 'messages'.", "prompt")
        asked = {
            "kind": "tokenize",
            "prompt": request.prompt,
            "messages": _messages(request.messages) if request.messages else None,
            **request.options,
        }
        try:
            return _entry(msgspec.convert(asked, Tokenize))
        except msgspec.ValidationError as error:
            raise invalid(str(error), "prompt", "invalid_type") from error

    def entry_detokenize(self, request: DetokenizeRequest) -> Entry:
        return _entry(Detokenize(list(request.tokens)))

    def check_stage_params(self, stage: str, params: Mapping[str, Value]) -> None:
        """The stage's options hold for all requests: they decide how the model is loaded."""
        if FAMILY.stage(stage) is None:
            raise invalid(f"stage_params: no stage is called '{stage}'.", f"stage_params.{stage}")
        for name in params:
            message = f"stage_params.{stage}: the llm family takes no options with a request, use the request's own."
            raise invalid(message, f"stage_params.{stage}.{name}", "unknown_parameter")


def _entry(asked: Chat | Completion | Tokenize | Detokenize) -> Entry:
    return Entry(msgspec.to_builtins(asked), _TEXT)


def _prompt(messages: Sequence[Message]) -> str:
    return "".join(_text(message, "prompt") for message in messages)


def _messages(messages: Sequence[Message]) -> list[dict[str, Any]]:
    return [
        template_message(message, _text(message, f"messages[{index}].content"), f"messages[{index}]")
        for index, message in enumerate(messages)
    ]


def _text(message: Message, path: str) -> str:
    for index, part in enumerate(message.parts):
        if part.type != "text":
            param = f"{path}[{index}]"
            raise RequestError(ErrorKind.UNPROCESSABLE, f"This model takes text only, not {part.type}.", param=param)
    return "".join(part.text for part in message.parts)
