"""Which optional fields a model honours, and what happens to the others.

The rule for every field a client sets (null counts as not set):

    the family honours it                  -> it goes to the family
    its value means what happens anyway    -> nothing to do
    OpenAI defines it as having no effect  -> nothing to do
    otherwise                              -> 400 naming it and saying what the model does support
"""

from collections.abc import Callable, Iterable
from operator import attrgetter
from typing import Any, Final

import msgspec

from omnipipe.errors import ErrorKind, RequestError
from omnipipe.gateway.openai.chat_request import CacheOptions, TextFormat
from omnipipe.wire.value import Value

__all__ = ["CHAT_FIELDS", "COMPLETION_FIELDS", "FieldRules", "unsupported"]

_NEEDS_RENDERING: Final = frozenset(
    {"logprobs", "top_logprobs", "tools", "tool_choice", "parallel_tool_calls", "functions", "function_call",
     "moderation", "web_search_options"}
)  # fmt: skip
"""These change the shape of the answer. Until the gateway can write that shape it refuses them, whatever a family
says it honours."""


def unsupported(model: str, field: str, hint: str) -> RequestError:
    return RequestError(
        ErrorKind.INVALID,
        f"'{field}' is not supported by the model `{model}`. {hint}",
        param=field,
        code="unsupported_parameter",
    )


class _Default:
    """A field's value that means what happens anyway."""

    def __init__(self, holds: Callable[[Any], bool], hint: str) -> None:
        self.holds = holds
        self.hint = hint


def _only(*values: object) -> _Default:
    shown = " or ".join(msgspec.json.encode(value).decode() for value in values)
    return _Default(lambda value: value in values, f"Leave it out or set it to {shown}.")


def _never() -> _Default:
    return _Default(lambda value: False, "Leave it out.")


class FieldRules:
    """The rules of one request type. `collect` is called for every request: it looks at all fields in one go."""

    def __init__(self, fields: dict[str, _Default], hints: dict[str, _Default]) -> None:
        self._options = fields
        self._hints = hints
        self._names = (*fields, *hints)
        self._values = attrgetter(*self._names)

    def collect(self, request: Any, model: str, honoured: frozenset[str]) -> dict[str, Value]:
        """What goes to the family. Raises RequestError for a field that would have no effect."""
        options: dict[str, Value] = {}
        for name, value in zip(self._names, self._values(request), strict=True):
            if value is None:
                continue
            if name in self._hints:
                rule = self._hints[name]
            elif name in honoured and name not in _NEEDS_RENDERING:
                options[name] = value if isinstance(value, int | float | str) else msgspec.to_builtins(value)
                continue
            else:
                rule = self._options[name]
            if not rule.holds(value):
                raise unsupported(model, name, f"{rule.hint}{self._supported(honoured)}")
        return options

    def _supported(self, honoured: Iterable[str]) -> str:
        names = sorted(set(honoured) & set(self._options) - _NEEDS_RENDERING)
        return f" This model supports: {', '.join(names)}." if names else ""


_SAMPLING: Final = {
    "temperature": _only(1),
    "top_p": _only(1),
    "frequency_penalty": _only(0),
    "presence_penalty": _only(0),
    "logit_bias": _only({}),
    "seed": _never(),
    "stop": _never(),
    "max_tokens": _never(),
}

_ANY_HINT: Final = _Default(lambda value: True, "")

CHAT_FIELDS: Final = FieldRules(
    fields=_SAMPLING
    | {
        "max_completion_tokens": _never(),
        "logprobs": _only(False),
        "top_logprobs": _only(0),
        "response_format": _Default(
            lambda value: isinstance(value, TextFormat), 'Leave it out or set it to {"type": "text"}.'
        ),
        "reasoning_effort": _only("none"),
        "verbosity": _only("medium"),
        "prediction": _never(),
        "tools": _never(),
        "tool_choice": _only("none", "auto"),
        "parallel_tool_calls": _only(True, False),
        "functions": _never(),
        "function_call": _only("none", "auto"),
        "web_search_options": _never(),
        "moderation": _never(),
    },
    hints={
        "store": _only(False),
        "service_tier": _only("auto", "default"),
        "prompt_cache_options": _Default(
            lambda value: isinstance(value, CacheOptions) and value.mode != "explicit", 'Set its mode to "implicit".'
        ),
        "metadata": _ANY_HINT,  # OpenAI keeps it beside stored completions; nothing is stored here
        "user": _ANY_HINT,
        "safety_identifier": _ANY_HINT,
        "prompt_cache_key": _ANY_HINT,
        "prompt_cache_retention": _ANY_HINT,  # an upper bound on caching, which not caching keeps
    },
)

COMPLETION_FIELDS: Final = FieldRules(
    fields=_SAMPLING | {"suffix": _only(""), "best_of": _only(1), "logprobs": _never()},
    hints={"user": _ANY_HINT},
)
