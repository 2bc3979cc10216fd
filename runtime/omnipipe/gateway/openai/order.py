"""From a parsed request body to what the coordinators are asked: the part that the routes share."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import msgspec
from msgspec.structs import replace

from omnipipe.coordinator.flight import OmniRequest
from omnipipe.errors import ErrorKind, RequestError
from omnipipe.families.requests import Entry, TextRequest
from omnipipe.gateway.exchange import EVENTS, StreamKind
from omnipipe.gateway.openai.answer import Answer, WholeAnswer, WriterT
from omnipipe.gateway.openai.chat_request import StreamOptions
from omnipipe.gateway.openai.plain import check_plain
from omnipipe.gateway.openai.refusals import invalid, unsupported
from omnipipe.gateway.served import Served
from omnipipe.wire.value import Value

__all__ = [
    "CallerBody",
    "Draft",
    "Limits",
    "Order",
    "TextBody",
    "WholeOrder",
    "check_choices",
    "entry",
    "omni_requests",
    "submissions",
    "wants_usage",
]


@dataclass(frozen=True, slots=True)
class Limits:
    max_choices: int
    events: bool
    """Whether request events are recorded here at all."""


class WholeOrder(msgspec.Struct, frozen=True):
    """One HTTP request, understood and found right, that is answered in one go."""

    served: Served
    request: OmniRequest
    answer: WholeAnswer


class Order(msgspec.Struct, Generic[WriterT], frozen=True):
    """One that may be answered as a stream."""

    served: Served
    requests: Sequence[OmniRequest]
    """One for each choice of the answer, in order."""
    answer: Answer[WriterT]
    stream: bool
    kind: StreamKind = EVENTS
    """Of its stream."""


OrderT = TypeVar("OrderT")


@dataclass(frozen=True, slots=True)
class Draft(Generic[OrderT]):
    """An order that lacks nothing but its media's bytes."""

    served: Served
    prompt: TextRequest
    finish: Callable[[TextRequest], OrderT]
    """Given the prompt with all its media."""


class CallerBody(Protocol):
    """What all bodies have in common: whom it is for, and our own extensions."""

    @property
    def model(self) -> str | None: ...
    @property
    def request_id(self) -> str | None: ...
    @property
    def timeout(self) -> float | None: ...
    @property
    def stage_params(self) -> dict[str, dict[str, Value]] | None: ...
    @property
    def events(self) -> bool | None: ...


class TextBody(CallerBody, Protocol):
    """Of chat and completions."""

    @property
    def model(self) -> str: ...
    @property
    def stream(self) -> bool | None: ...
    @property
    def stream_options(self) -> StreamOptions | None: ...
    @property
    def n(self) -> int | None: ...


def wants_usage(body: TextBody) -> bool:
    options = body.stream_options
    if options is None:
        return False
    if not body.stream:
        raise invalid("The 'stream_options' parameter is only allowed when 'stream' is enabled.", "stream_options")
    if options.include_obfuscation:
        raise unsupported(body.model, "stream_options.include_obfuscation", "Leave it out or set it to false.")
    return bool(options.include_usage)


def check_choices(per_prompt: int, served: Served, prompts: int, limits: Limits) -> None:
    """So many choices for each prompt. Each is a request of its own to the pipeline."""
    if per_prompt > 1 and "n" not in served.requests.options:
        raise unsupported(served.name, "n", "Leave it out or set it to 1.")
    if per_prompt * prompts > limits.max_choices:
        raise invalid(
            f"One request may ask for at most {limits.max_choices} choices (prompts times 'n' or 'best_of'); "
            f"this one asks for {per_prompt * prompts}.",
            "n" if per_prompt > 1 else "prompt",
        )


def omni_requests(
    body: TextBody, served: Served, request_id: str, prompts: Sequence[TextRequest], per_prompt: int, limits: Limits
) -> list[OmniRequest]:
    translate = served.requests.entry
    if per_prompt != 1:
        prompts = [choice for prompt in prompts for choice in _choices(prompt, per_prompt)]
    entries = [(entry(translate, prompt), prompt.outputs) for prompt in prompts]
    return submissions(body, served, request_id, entries, limits)


def submissions(
    body: CallerBody,
    served: Served,
    request_id: str,
    entries: Sequence[tuple[Entry, frozenset[str]]],
    limits: Limits,
) -> list[OmniRequest]:
    """Entries with the outputs that they want, and what callers can say of any request."""
    params = _stage_params(body.stage_params, served)
    if body.events and not limits.events:
        raise invalid("'events' needs a server that was started with a folder for request events.", "events")
    return [
        OmniRequest(
            request_id=f"{request_id}.{index}" if index else request_id,
            value=made.value,
            inputs=made.inputs,
            outputs=outputs,
            stage_params=params,
            timeout_s=body.timeout,
            events=bool(body.events),
        )
        for index, (made, outputs) in enumerate(entries)
    ]


RequestT = TypeVar("RequestT")


def entry(translate: Callable[[RequestT], Entry], request: RequestT) -> Entry:
    """The family's word on a request."""
    try:
        return translate(request)
    except RequestError as error:
        if error.kind is not ErrorKind.UNPROCESSABLE:
            raise
        # Seen in the request itself, before any stage: for OpenAI's clients that is a 400.
        raise RequestError(ErrorKind.INVALID, error.message, param=error.param, code=error.code) from error


def _choices(prompt: TextRequest, count: int) -> list[TextRequest]:
    """The same question `count` times; with a seed each choice has its own, or they would all be the same."""
    seed = prompt.options.get("seed")
    if not isinstance(seed, int):
        return [prompt] * count
    return [replace(prompt, options={**prompt.options, "seed": _wrapped(seed + index)}) for index in range(count)]


def _wrapped(seed: int) -> int:
    """Within 64 bits, as the wire and samplers have it."""
    return (seed + 2**63) % 2**64 - 2**63


def _stage_params(params: dict[str, dict[str, Value]] | None, served: Served) -> dict[str, dict[str, Value]]:
    if not params:
        return {}
    for stage, values in params.items():
        path = f"stage_params.{stage}"
        if stage not in served.stage_types:
            raise invalid(
                f"The model `{served.name}` has no stage '{stage}'. It has: {', '.join(served.stage_types)}.",
                path,
                "unknown_parameter",
            )
        check_plain(values, path)
        _check_with_family(served, stage, values)
    return params


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
