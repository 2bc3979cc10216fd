"""The form of POST /generate: from the fields to an order."""

from typing import Final, cast

from omnipipe.errors import ErrorKind, RequestError
from omnipipe.families.requests import (
    AudioOptions,
    Capability,
    Entry,
    Message,
    SpeechRequest,
    SpeechRequests,
    TextRequest,
)
from omnipipe.gateway.native.form_request import KWARGS, FormBody, FormOptions, under_kwargs
from omnipipe.gateway.native.lines import LINES, LinesAnswer, LinesWriter
from omnipipe.gateway.openai.answer import AUDIO, TEXT
from omnipipe.gateway.openai.chat import by_stage_type, has_media
from omnipipe.gateway.openai.conflicts import check_shape
from omnipipe.gateway.openai.fields import ANSWER_FIELDS, SPEECH_FIELDS
from omnipipe.gateway.openai.order import Draft, Limits, Order, entry, submissions
from omnipipe.gateway.openai.plain import check_plain
from omnipipe.gateway.openai.refusals import invalid, unsupported
from omnipipe.gateway.openai.speech_request import SpeechOptions
from omnipipe.gateway.openai.voices import checked_voice
from omnipipe.gateway.served import Served
from omnipipe.wire.value import Value

__all__ = ["form_order"]

_LIMITS: Final = ("max_completion_tokens", "max_tokens")
"""What `max_output_tokens` is to a family, by preference."""
_SPEECH_NAMES: Final = {"max_output_tokens": "max_new_tokens"}
_OF_ANY_REQUEST: Final = frozenset({"model", "voice", "request_id", "timeout", "stage_params", "events"})


def form_order(
    body: FormBody, served: Served, request_id: str, now_s: int, limits: Limits
) -> Order[LinesWriter] | Draft[Order[LinesWriter]]:
    outputs = _outputs(body, served)
    kind = _asked_for(served, outputs)

    def order(made: Entry) -> Order[LinesWriter]:
        requests = submissions(body, served, request_id, [(made, outputs)], limits)
        answer = LinesAnswer(request_id, served.requests.sample_rate_hz)
        return Order(served, requests, answer, body.stream, LINES)

    if kind == "speech":
        return order(entry(cast(SpeechRequests, served.requests).entry_speech, _speech(body, served)))
    prompt = _prompt(body, served, outputs, completion=kind == "completion")
    if not has_media(prompt):
        return order(_entry(served, prompt))
    return Draft(served, prompt, lambda resolved: order(_entry(served, resolved)))


def _entry(served: Served, prompt: TextRequest) -> Entry:
    try:
        return entry(served.requests.entry, prompt)
    except RequestError as error:
        # What a family says of an option is under its own name; what it says of media has the file's.
        option = (error.param or "").partition(".")[0]
        raise under_kwargs(error) if option in FormOptions.__struct_fields__ else error from error


def _outputs(body: FormBody, served: Served) -> frozenset[str]:
    for name in body.outputs:
        if name not in served.outputs:
            raise invalid(
                f"The model `{served.name}` does not answer with {name[:64]}. "
                f"It answers with: {', '.join(sorted(served.outputs))}.",
                "output_modalities",
            )
    return frozenset(body.outputs)


def _asked_for(served: Served, outputs: frozenset[str]) -> Capability:
    """In what capacity this model answers: it converses if it can, or goes on with a text, or says it."""
    has = served.requests.capabilities
    if "chat" in has:
        return "chat"
    if "completion" in has:
        return "completion"
    if "speech" in has and outputs == {AUDIO}:
        return "speech"
    raise RequestError(
        ErrorKind.INVALID,
        f"The model `{served.name}` cannot be asked for {', '.join(sorted(outputs))} in the /generate endpoint.",
        param="model",
        code="model_not_supported",
    )


def _prompt(body: FormBody, served: Served, outputs: frozenset[str], *, completion: bool) -> TextRequest:
    given = body.options
    for name in ("instructions", "language"):
        if getattr(given, name) is not None:
            raise unsupported(served.name, f"{KWARGS}.{name}", "Leave it out.")
    for part in body.parts:
        if part.type != TEXT and part.type not in served.requests.media:
            takes = ", ".join(["text", *sorted(served.requests.media)])
            raise invalid(f"The model `{served.name}` takes {takes}; '{part.path}' is {part.type}.", part.path)
    try:
        options = ANSWER_FIELDS.collect(given, served.name, served.requests.options)
        check_shape(given, given.max_completion_tokens)
        check_plain(given.chat_template_kwargs, "chat_template_kwargs")
        if "stage_sampling" in options:
            options["stage_sampling"] = by_stage_type(options["stage_sampling"], served, "stage_sampling")
        options |= _length(given, served)
        audio = _audio(given, served, outputs)
    except RequestError as error:
        raise under_kwargs(error) from error
    message = Message("user", body.parts)
    return TextRequest("completion" if completion else "chat", (message,), outputs, audio, options)


def _length(given: FormOptions, served: Served) -> dict[str, Value]:
    said = [name for name in ("max_output_tokens", *_LIMITS) if getattr(given, name) is not None]
    if len(said) > 1:
        raise invalid(f"'{said[0]}' and '{said[1]}' mean the same: give one of them.", said[0])
    if given.max_output_tokens is None:
        return {}
    for name in _LIMITS:
        if name in served.requests.options:
            return {name: given.max_output_tokens}
    raise unsupported(served.name, "max_output_tokens", "Leave it out.")


def _audio(given: FormOptions, served: Served, outputs: frozenset[str]) -> AudioOptions | None:
    if given.voice is not None and AUDIO not in outputs:
        raise invalid("'voice' needs audio in 'output_modalities'.", "voice")
    voice = checked_voice(given.voice, served, "voice")
    return None if voice is None else AudioOptions(voice, "pcm16")


def _speech(body: FormBody, served: Served) -> SpeechRequest:
    """Of models that only speak: the text as it stands."""
    family = cast(SpeechRequests, served.requests)
    for part in body.parts:
        if part.type != TEXT:
            raise invalid(f"The model `{served.name}` takes text; '{part.path}' is {part.type}.", part.path)
    if not body.text.strip():
        raise invalid("'text' is blank: there is nothing to be said.", "text")
    if len(body.text) > family.speech_chars:
        raise invalid(
            f"'text' has {len(body.text)} characters, and this model speaks {family.speech_chars} in one go; "
            "/v1/audio/speech speaks longer texts in parts.",
            "text",
        )
    try:
        options = SPEECH_FIELDS.collect(_speaking(body.options, served), served.name, family.speech_options)
        voice = checked_voice(body.options.voice, served, "voice")
    except RequestError as error:
        raise under_kwargs(error) from error
    return SpeechRequest(body.text, voice, options)


def _speaking(given: FormOptions, served: Served) -> SpeechOptions:
    """The options as fields of /v1/audio/speech; what has no place there is refused."""
    found: dict[str, Value] = {}
    for name in FormOptions.__struct_fields__:
        value = getattr(given, name)
        field = _SPEECH_NAMES.get(name, name)
        if value is None or name in _OF_ANY_REQUEST:
            continue
        if field not in SPEECH_FIELDS.options:
            raise unsupported(served.name, name, "It only speaks.")
        found[field] = value
    return SpeechOptions(**found)
