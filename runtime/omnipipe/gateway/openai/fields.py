"""Which optional fields a model honours, and what happens to the others.

The rule for every field a client sets (null counts as not set):

    the family honours it                  -> it goes to the family
    its value means what happens anyway    -> nothing to do
    OpenAI defines it as having no effect  -> nothing to do
    otherwise                              -> 400 naming it and saying what the model does support
"""

from collections.abc import Callable, Iterable
from typing import Any, Final

import msgspec

from omnipipe.gateway.openai.chat_request import AnswerOptions, CacheOptions
from omnipipe.gateway.openai.refusals import unsupported
from omnipipe.gateway.openai.response_format import TextFormat
from omnipipe.gateway.openai.scalars import Body
from omnipipe.wire.value import Value

__all__ = ["ANSWER_FIELDS", "CHAT_FIELDS", "COMPLETION_FIELDS", "PROMPT_FIELDS", "SPEECH_FIELDS", "FieldRules"]


class _Default:
    """A field's value that means what happens anyway."""

    def __init__(self, holds: Callable[[Any], bool], hint: str) -> None:
        self.holds = holds
        self.hint = hint


def _only(*values: object) -> _Default:
    shown = " or ".join(msgspec.json.encode(value).decode() for value in values)
    return _Default(lambda value: value in values, f"Leave it out or set it to {shown}.")


def _never(hint: str = "Leave it out.") -> _Default:
    return _Default(lambda value: False, hint)


_PLAIN: Final = frozenset({bool, int, float, str})
_ANY_HINT: Final = _Default(lambda value: True, "")


class FieldRules:
    """The rules of one request type. `collect` is called for every request: it looks at all fields in one go."""

    def __init__(self, fields: dict[str, _Default], hints: dict[str, _Default]) -> None:
        """`fields`: what a model may honour. `hints`: what is the same for every model."""
        self.options = frozenset(fields)
        self.hints = frozenset(hints)
        self._rules = fields | {name: rule for name, rule in hints.items() if rule is not _ANY_HINT}

    def collect(self, request: Body, model: str, honoured: frozenset[str]) -> dict[str, Value]:
        """What goes to the family. Raises RequestError for a field that would have no effect."""
        options: dict[str, Value] = {}
        rules = self._rules
        for name, value in request.given():
            rule = rules.get(name)
            if rule is None:
                continue
            if name in honoured and name not in self.hints:
                options[name] = value if type(value) in _PLAIN else msgspec.to_builtins(value)
            elif not rule.holds(value):
                raise unsupported(model, name, f"{rule.hint}{self._supported(honoured)}")
        return options

    def _supported(self, honoured: Iterable[str]) -> str:
        names = sorted(self.options.intersection(honoured))
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
    "top_k": _only(0, -1),
    "min_p": _only(0),
    "repetition_penalty": _only(1),
    "min_tokens": _only(0),
    "ignore_eos": _only(False),
    "stop_token_ids": _only([]),
    "response_format": _Default(
        lambda value: isinstance(value, TextFormat), 'Leave it out or set it to {"type": "text"}.'
    ),
    "guided_json": _never(),
    "guided_regex": _never(),
    "guided_choice": _never(),
    "guided_grammar": _never(),
}
"""What any text can be asked for, with the value that changes nothing."""

_OF_STAGES_AND_MEDIA: Final = ("thinker_", "talker_", "video_", "min_pixels", "max_pixels")

_CHAT: Final = (
    _SAMPLING
    | {
        "max_completion_tokens": _never(),
        "logprobs": _only(False),
        "top_logprobs": _only(0),
        "reasoning_effort": _only("none"),
        "verbosity": _only("medium"),
        "tools": _never(),
        "tool_choice": _only("none", "auto"),
        "parallel_tool_calls": _only(True, False),
        "chat_template_kwargs": _only({}),
        "use_audio_in_video": _only(False),
        "stage_sampling": _only({}),
    }
    | {field: _never() for field in AnswerOptions.__struct_fields__ if field.startswith(_OF_STAGES_AND_MEDIA)}
)

CHAT_FIELDS: Final = FieldRules(
    fields=_CHAT,
    hints={
        "functions": _never("It is OpenAI's earlier form of 'tools': use 'tools'."),
        "function_call": _Default(
            lambda value: value in ("none", "auto"), "It is OpenAI's earlier form of 'tool_choice': use 'tool_choice'."
        ),
        "prediction": _never(),
        "web_search_options": _never("Leave it out, or give the model a tool that searches."),
        "moderation": _never(),
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
    fields=_SAMPLING | {"suffix": _only(""), "logprobs": _never()},
    hints={"user": _ANY_HINT},
)

ANSWER_FIELDS: Final = FieldRules(
    fields={name: rule for name, rule in _CHAT.items() if name in AnswerOptions.__struct_fields__}, hints={}
)
"""Of requests that are neither chats nor completions to OpenAI."""

PROMPT_FIELDS: Final = FieldRules(
    fields={
        name: _SAMPLING[name]
        for name in (
            "max_tokens", "temperature", "ignore_eos", "top_p", "top_k", "min_p", "frequency_penalty",
            "presence_penalty", "repetition_penalty", "seed", "stop", "stop_token_ids", "min_tokens",
        )
    }
    | {"max_nfe": _never(), "max_repetition_run": _never()},
    hints={"user": _ANY_HINT},
)  # fmt: skip

SPEECH_FIELDS: Final = FieldRules(
    fields={name: _SAMPLING[name] for name in ("temperature", "top_p", "top_k", "repetition_penalty", "seed")}
    | {"instructions": _only(""), "language": _never(), "max_new_tokens": _never()},
    hints={},
)
