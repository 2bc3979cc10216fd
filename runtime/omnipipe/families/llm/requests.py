"""A client's request as the llm stage takes it. Runs in the gateway: no torch, no tokenizer.

Checked here is what can be seen without a model: how fields relate to each other, and that messages are such as a chat
template can take. What needs the template or the context's size is the stage's to refuse.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from omnipipe.errors import ErrorKind, RequestError
from omnipipe.families.llm.asked import Chat, Completion, Detokenize, Options, Tokenize, invalid, read_options
from omnipipe.families.llm.graph import FAMILY
from omnipipe.families.requests import (
    Capability,
    DetokenizeRequest,
    Entry,
    Message,
    TextRequest,
    TokenizeRequest,
    ToolCall,
)
from omnipipe.spec.suggest import listed, meant
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
    voices: frozenset[str] = frozenset()
    audio_formats: frozenset[str] = frozenset()
    sample_rate_hz: int = 0

    def entry(self, request: TextRequest) -> Entry:
        options = read_options(request.options)
        _check_lengths(options)
        _check_constraints(options)
        if request.kind == "chat":
            _check_tools(options)
            if options.top_logprobs and not options.logprobs:
                raise invalid("'top_logprobs' needs 'logprobs' to be true.", "top_logprobs")
            return _entry(Chat(_messages(request.messages), options))
        if options.echo and options.logprobs is not None:
            raise invalid("'echo' cannot be combined with 'logprobs': the prompt has none.", "echo")
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
    return [_message(message, f"messages[{index}]") for index, message in enumerate(messages)]


def _message(message: Message, path: str) -> dict[str, Any]:
    said: dict[str, Any] = {"role": message.role, "content": _text(message, f"{path}.content")}
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


def _text(message: Message, path: str) -> str:
    for index, part in enumerate(message.parts):
        if part.type != "text":
            param = f"{path}[{index}]"
            raise RequestError(ErrorKind.UNPROCESSABLE, f"This model takes text only, not {part.type}.", param=param)
    return "".join(part.text for part in message.parts)


def _call(call: ToolCall, path: str) -> dict[str, Any]:
    """Templates write the arguments themselves, so they take them as data."""
    path += ".function.arguments"
    try:
        arguments = json.loads(call.arguments or "{}")
    except ValueError as error:
        raise invalid(f"'{path}' is not JSON: {error}.", path) from error
    if not isinstance(arguments, dict):
        raise invalid(f"'{path}' must be a JSON object.", path)
    return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": arguments}}


def _check_lengths(options: Options) -> None:
    most = options.max_tokens if options.max_completion_tokens is None else options.max_completion_tokens
    if options.min_tokens < 0:
        raise invalid("'min_tokens' must be at least 0.", "min_tokens")
    if most is not None and options.min_tokens > most:
        raise invalid(f"'min_tokens' must be at most the most tokens asked for, {most}.", "min_tokens")
    for key in options.logit_bias:
        if not key.isascii() or not key.isdecimal():
            raise invalid(f"'logit_bias' has the key {key!r}, which is not a token id.", "logit_bias")


def _check_constraints(options: Options) -> None:
    """One thing at a time can say what the text must look like."""
    names = ("guided_json", "guided_regex", "guided_choice", "guided_grammar")
    given = [name for name in names if getattr(options, name) is not None]
    shape = options.response_format
    if shape is not None and shape.type != "text":
        given.append("response_format")
    if len(given) > 1:
        raise invalid(f"{listed(given)} cannot be combined: give one of them.", given[0])
    if given and given[0] != "response_format" and options.must_call:
        raise invalid(f"'{given[0]}' cannot be combined with a 'tool_choice' that forces a call.", given[0])
    if shape is not None and shape.type == "json_schema" and shape.json_schema is None:
        path = "response_format.json_schema"
        raise invalid(f"Missing required parameter: '{path}'.", path, "missing_required_parameter")
    if options.guided_choice is not None and not options.guided_choice:
        raise invalid("'guided_choice' must have one choice or more.", "guided_choice")


def _check_tools(options: Options) -> None:
    tools = [tool.function.name for tool in options.tools]
    if len(set(tools)) != len(tools):
        raise invalid("'tools' has two functions of one name.", "tools")
    if not tools:
        if options.tool_choice not in (None, "none"):
            raise invalid("'tool_choice' is only allowed when 'tools' are specified.", "tool_choice")
        if options.parallel_tool_calls is not None:
            raise invalid("'parallel_tool_calls' is only allowed when 'tools' are specified.", "parallel_tool_calls")
    for name in options.named_tools:
        if name not in tools:
            raise invalid(f"'tool_choice' names the function '{name}', which is not among 'tools'.", "tool_choice")
