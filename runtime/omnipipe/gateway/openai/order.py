"""From a parsed request body to what the coordinators are asked: the part that chat and completions share."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Generic, Protocol

from omnipipe.coordinator.flight import OmniRequest
from omnipipe.errors import ErrorKind, RequestError
from omnipipe.families.requests import Entry, TextRequest
from omnipipe.gateway.openai.answer import Answer, WriterT
from omnipipe.gateway.openai.chat_request import StreamOptions
from omnipipe.gateway.openai.fields import unsupported
from omnipipe.gateway.served import Served
from omnipipe.wire.value import Value

__all__ = ["Limits", "Order", "TextBody", "check_choices", "invalid", "omni_requests", "wants_usage"]

_MAX_PARAM_DEPTH = 16


@dataclass(frozen=True, slots=True)
class Limits:
    max_choices: int
    events: bool
    """Whether request events are recorded here at all."""


@dataclass(frozen=True, slots=True)
class Order(Generic[WriterT]):
    """One HTTP request, understood and found right."""

    served: Served
    requests: Sequence[OmniRequest]
    """One for each choice of the answer, in order."""
    answer: Answer[WriterT]
    stream: bool


class TextBody(Protocol):
    """What the bodies of chat and completions have in common."""

    @property
    def model(self) -> str: ...
    @property
    def stream(self) -> bool | None: ...
    @property
    def stream_options(self) -> StreamOptions | None: ...
    @property
    def n(self) -> int | None: ...
    @property
    def request_id(self) -> str | None: ...
    @property
    def timeout(self) -> float | None: ...
    @property
    def stage_params(self) -> dict[str, dict[str, Value]] | None: ...
    @property
    def events(self) -> bool | None: ...


def invalid(message: str, param: str, code: str = "invalid_value") -> RequestError:
    return RequestError(ErrorKind.INVALID, message, param=param, code=code)


def wants_usage(body: TextBody) -> bool:
    options = body.stream_options
    if options is None:
        return False
    if not body.stream:
        raise invalid("The 'stream_options' parameter is only allowed when 'stream' is enabled.", "stream_options")
    if options.include_obfuscation:
        raise unsupported(body.model, "stream_options.include_obfuscation", "Leave it out or set it to false.")
    return bool(options.include_usage)


def check_choices(body: TextBody, served: Served, prompts: int, limits: Limits) -> int:
    """How many choices for each prompt. Each is a request of its own to the pipeline."""
    per_prompt = body.n or 1
    if per_prompt > 1 and "n" not in served.requests.options:
        raise unsupported(served.name, "n", "Leave it out or set it to 1.")
    if per_prompt * prompts > limits.max_choices:
        raise invalid(
            f"One request may ask for at most {limits.max_choices} choices (prompts times 'n'); "
            f"this one asks for {per_prompt * prompts}.",
            "n" if per_prompt > 1 else "prompt",
        )
    return per_prompt


def omni_requests(
    body: TextBody, served: Served, request_id: str, prompts: Sequence[TextRequest], per_prompt: int, limits: Limits
) -> list[OmniRequest]:
    params = _stage_params(body.stage_params, served)
    if body.events and not limits.events:
        raise invalid("'events' needs a server that was started with a folder for request events.", "events")
    found: list[OmniRequest] = []
    for prompt in prompts:
        for entry in (_entry(served, choice) for choice in _choices(prompt, per_prompt)):
            found.append(
                OmniRequest(
                    request_id=f"{request_id}.{len(found)}" if found else request_id,
                    value=entry.value,
                    inputs=entry.inputs,
                    outputs=prompt.outputs,
                    stage_params=params,
                    timeout_s=body.timeout,
                    events=bool(body.events),
                )
            )
    return found


def _entry(served: Served, prompt: TextRequest) -> Entry:
    try:
        return served.requests.entry(prompt)
    except RequestError as error:
        if error.kind is not ErrorKind.UNPROCESSABLE:
            raise
        # Seen in the request itself, before any stage: for OpenAI's clients that is a 400.
        raise RequestError(ErrorKind.INVALID, error.message, param=error.param, code=error.code) from error


def _choices(prompt: TextRequest, count: int) -> list[TextRequest]:
    """The same question `count` times; with a seed each choice has its own, or they would all be the same."""
    seed = prompt.options.get("seed")
    if count == 1 or not isinstance(seed, int):
        return [prompt] * count
    return [replace(prompt, options={**prompt.options, "seed": _wrapped(seed + index)}) for index in range(count)]


def _wrapped(seed: int) -> int:
    """Within 64 bits, as the wire and samplers have it."""
    return (seed + 2**63) % 2**64 - 2**63


def _stage_params(params: dict[str, dict[str, Value]] | None, served: Served) -> dict[str, dict[str, Value]]:
    for stage, values in (params or {}).items():
        path = f"stage_params.{stage}"
        if stage not in served.stage_types:
            raise invalid(
                f"The model `{served.name}` has no stage '{stage}'. It has: {', '.join(served.stage_types)}.",
                path,
                "unknown_parameter",
            )
        _check_plain(values, path, 0)
        _check_with_family(served, stage, values)
    return params or {}


def _check_with_family(served: Served, stage: str, values: dict[str, Value]) -> None:
    """The family speaks of the stage's type; the client, who may have named the stage otherwise, of its name."""
    kind = served.stage_types[stage]
    try:
        served.requests.check_stage_params(kind, values)
    except RequestError as error:
        if error.param is None or kind == stage:
            raise
        param = error.param.replace(f"stage_params.{kind}", f"stage_params.{stage}", 1)
        raise RequestError(error.kind, error.message, param=param, code=error.code) from error


def _check_plain(value: Value, path: str, depth: int) -> None:
    """What JSON lets through and the wire does not: integers over 64 bits, and any depth."""
    if depth > _MAX_PARAM_DEPTH:
        raise invalid(f"'{path}' is nested more than {_MAX_PARAM_DEPTH} levels deep.", path)
    match value:
        case bool():
            pass
        case int() if not -(2**63) <= value < 2**63:
            raise invalid(f"'{path}' is beyond the range of 64 bit integers.", path)
        case Mapping():
            for key, inner in value.items():
                _check_plain(inner, f"{path}.{key}", depth + 1)
        case list():
            for index, inner in enumerate(value):
                _check_plain(inner, f"{path}[{index}]", depth + 1)
        case _:
            pass
