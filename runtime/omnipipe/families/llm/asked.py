"""What the llm stage is asked: the value that the gateway's side of the family writes and the stage's side reads.

`Options` has the client's own field names, so that an error about one can name it. Both sides check it, for a stage
may be asked by others than our gateway.
"""

from typing import Any, Literal

import msgspec

from omnipipe.errors import ErrorKind, RequestError
from omnipipe.wire.value import Value

__all__ = [
    "Asked",
    "Chat",
    "Completion",
    "Detokenize",
    "Function",
    "JsonSchema",
    "NamedTool",
    "Options",
    "ResponseFormat",
    "Tokenize",
    "Tool",
    "invalid",
    "read_asked",
    "read_options",
]


class Function(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    name: str
    description: str | None = None
    parameters: dict[str, Any] | None = None
    """A JSON schema; None: the function takes no arguments."""
    strict: bool | None = None


class Tool(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    type: Literal["function"]
    function: Function


class NamedTool(msgspec.Struct, frozen=True):
    name: str


class _FunctionChoice(msgspec.Struct, frozen=True, tag_field="type", tag="function"):
    function: NamedTool


class _Allowed(msgspec.Struct, frozen=True):
    mode: Literal["auto", "required"]
    tools: list[_FunctionChoice]


class _AllowedChoice(msgspec.Struct, frozen=True, tag_field="type", tag="allowed_tools"):
    allowed_tools: _Allowed


class JsonSchema(msgspec.Struct, frozen=True, omit_defaults=True):
    name: str
    description: str | None = None
    schema: dict[str, Any] | None = None
    strict: bool | None = None


class ResponseFormat(msgspec.Struct, frozen=True, omit_defaults=True):
    type: Literal["text", "json_object", "json_schema"]
    json_schema: JsonSchema | None = None


class Options(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """What a client may set. None and the defaults mean what happens when it is left out."""

    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    min_tokens: int = 0
    ignore_eos: bool = False
    stop: str | list[str] | None = None
    stop_token_ids: list[int] = []
    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    min_p: float = 0.0
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    repetition_penalty: float = 1.0
    logit_bias: dict[str, float] = {}
    seed: int | None = None
    logprobs: bool | int | None = None
    """Of a chat: whether. Of a completion: of how many."""
    top_logprobs: int | None = None
    echo: bool = False
    response_format: ResponseFormat | None = None
    guided_json: dict[str, Any] | str | None = None
    guided_regex: str | None = None
    guided_choice: list[str] | None = None
    guided_grammar: str | None = None
    tools: list[Tool] = []
    tool_choice: Literal["none", "auto", "required"] | _FunctionChoice | _AllowedChoice | None = None
    parallel_tool_calls: bool | None = None
    reasoning_effort: str | None = None
    chat_template_kwargs: dict[str, Any] = {}

    @property
    def stops(self) -> list[str]:
        stop = self.stop or []
        return [stop] if isinstance(stop, str) else [text for text in stop if text]

    @property
    def chosen_tool(self) -> str | None:
        """The one that must be called."""
        return self.tool_choice.function.name if isinstance(self.tool_choice, _FunctionChoice) else None

    @property
    def must_call(self) -> bool:
        match self.tool_choice:
            case _AllowedChoice(allowed_tools=allowed):
                return allowed.mode == "required"
            case choice:
                return choice == "required" or isinstance(choice, _FunctionChoice)

    @property
    def named_tools(self) -> list[str]:
        """Those that `tool_choice` speaks of."""
        match self.tool_choice:
            case _AllowedChoice(allowed_tools=allowed):
                return [tool.function.name for tool in allowed.tools]
            case _FunctionChoice(function=function):
                return [function.name]
            case _:
                return []

    @property
    def usable_tools(self) -> list[Tool]:
        """Those that the model may call, and is told of."""
        if self.tool_choice == "none":
            return []
        if isinstance(self.tool_choice, _AllowedChoice):
            return [tool for tool in self.tools if tool.function.name in self.named_tools]
        return self.tools


class Chat(msgspec.Struct, frozen=True, tag_field="kind", tag="chat"):
    messages: list[dict[str, Any]]
    """As chat templates take them: `role`, `content` as text, the arguments of tool calls as objects."""
    options: Options


class Completion(msgspec.Struct, frozen=True, tag_field="kind", tag="completion"):
    prompt: str | list[int]
    options: Options


class Tokenize(msgspec.Struct, frozen=True, tag_field="kind", tag="tokenize"):
    prompt: str | None = None
    messages: list[dict[str, Any]] | None = None
    tools: list[Tool] = []
    chat_template_kwargs: dict[str, Any] = {}
    add_special_tokens: bool | None = None
    """None: of a text yes, of a chat no, for its template writes them."""
    add_generation_prompt: bool = True
    return_token_strs: bool = False


class Detokenize(msgspec.Struct, frozen=True, tag_field="kind", tag="detokenize"):
    tokens: list[int]


Asked = Chat | Completion | Tokenize | Detokenize


def invalid(message: str, param: str, code: str = "invalid_value") -> RequestError:
    return RequestError(ErrorKind.INVALID, message, param=param, code=code)


def read_asked(value: Value) -> Asked:
    """Raises RequestError."""
    try:
        asked: Asked = msgspec.convert(value, Asked)
    except msgspec.ValidationError as error:
        raise RequestError(ErrorKind.INVALID, f"the llm family cannot read this request: {error}") from error
    return asked


def read_options(given: dict[str, Value]) -> Options:
    """Raises RequestError naming the field."""
    try:
        return msgspec.convert(given, Options)
    except msgspec.ValidationError as error:
        text, _, path = str(error).rpartition(" - at `$")
        field = path.strip("`.")
        name = field.replace(".[", "[") if text else ""
        raise invalid(f"'{name}': {text or error}", name or "options", "invalid_type") from error
