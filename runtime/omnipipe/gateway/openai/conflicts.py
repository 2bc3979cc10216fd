"""Fields that are right each for itself and wrong together."""

from collections.abc import Mapping
from typing import Final, Protocol

from omnipipe.gateway.openai.chat_request import ChatCompletionRequest
from omnipipe.gateway.openai.plain import check_plain, check_schema
from omnipipe.gateway.openai.refusals import invalid, missing
from omnipipe.gateway.openai.response_format import JsonSchemaFormat, ResponseFormat, TextFormat
from omnipipe.gateway.openai.tools import check_tools
from omnipipe.wire.value import Value

__all__ = ["ShapedBody", "check_chat", "check_shape"]

_GUIDES: Final = ("guided_json", "guided_regex", "guided_choice", "guided_grammar")

_RELATED: Final = frozenset(
    {*_GUIDES, "response_format", "min_tokens", "top_logprobs", "tools", "tool_choice", "parallel_tool_calls",
     "chat_template_kwargs"}
)  # fmt: skip


class ShapedBody(Protocol):
    """A body that may say what the text must look like, and how long it must be."""

    @property
    def max_tokens(self) -> int | None: ...
    @property
    def min_tokens(self) -> int | None: ...
    @property
    def response_format(self) -> ResponseFormat | None: ...
    @property
    def guided_json(self) -> object: ...
    @property
    def guided_regex(self) -> str | None: ...
    @property
    def guided_choice(self) -> list[str] | None: ...
    @property
    def guided_grammar(self) -> str | None: ...


def check_chat(body: ChatCompletionRequest, options: Mapping[str, Value]) -> None:
    """`options`: what of the body goes to the family. Few requests have anything in it that needs a second look."""
    if body.max_tokens is not None and body.max_completion_tokens is not None:
        raise invalid("Give either 'max_tokens' or 'max_completion_tokens', not both.", "max_tokens")
    if _RELATED.isdisjoint(options):
        return
    if body.top_logprobs and not body.logprobs:
        raise invalid("'top_logprobs' is only allowed when 'logprobs' is true.", "top_logprobs")
    if body.tools is not None or body.tool_choice is not None or body.parallel_tool_calls is not None:
        check_tools(body.tools, body.tool_choice, body.parallel_tool_calls)
    if body.chat_template_kwargs is not None:
        check_plain(body.chat_template_kwargs, "chat_template_kwargs")
    check_shape(body, body.max_completion_tokens)


def check_shape(body: ShapedBody, max_completion_tokens: int | None = None) -> None:
    most = body.max_tokens if max_completion_tokens is None else max_completion_tokens
    if body.min_tokens and most is not None and body.min_tokens > most:
        raise invalid(f"'min_tokens' must be at most the most tokens asked for, which are {most}.", "min_tokens")
    shape = body.response_format
    if isinstance(shape, JsonSchemaFormat):
        path = "response_format.json_schema.schema"
        if shape.json_schema.schema is None:
            raise missing(path)
        check_schema(shape.json_schema.schema, path)
    guides = [name for name in _GUIDES if getattr(body, name) is not None]
    if "guided_json" in guides:
        check_schema(body.guided_json, "guided_json")
    if shape is not None and not isinstance(shape, TextFormat):
        guides.append("response_format")
    if len(guides) > 1:
        raise invalid(f"'{guides[0]}' cannot be combined with '{guides[1]}': give one of them.", guides[0])
