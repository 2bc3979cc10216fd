"""The form of POST /generate: M*'s fields, and `model` for servers of several."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Annotated, Final, get_args

from msgspec import Meta

from omnipipe.errors import RequestError
from omnipipe.families.requests import MediaKind, Part
from omnipipe.gateway.native.form import Form, FormFile
from omnipipe.gateway.openai import scalars
from omnipipe.gateway.openai.chat_request import AnswerOptions
from omnipipe.gateway.openai.parse import BodyParser
from omnipipe.gateway.openai.refusals import invalid
from omnipipe.media.sniffing import sniff, unreadable
from omnipipe.spec.suggest import meant
from omnipipe.wire.value import Value

__all__ = ["FIELDS", "KWARGS", "FormBody", "FormOptions", "form_body", "under_kwargs"]

FIELDS: Final = {
    "text": "The prompt; may be left out where there are files.",
    "files": "Media, as many as there are; what each is shows in its content.",
    "input_modalities": "Comma-separated, in the order in which the model is to see them. Left out: files, then text.",
    "output_modalities": "Comma-separated. Left out: text.",
    "streaming": "true (left out: this): a line as soon as there is something; false: one document.",
    "model_kwargs": "A JSON object of options.",
    "request_id": "What logs, events and `x-request-id` call this request. One that is running is refused with 409.",
    "model": "Extension: which model, where several are served; also as an option.",
}
"""Name -> what it does. `files` alone may be there several times."""

KWARGS: Final = "model_kwargs"

_TRUE: Final = frozenset({"true", "1", "yes", "on", "t", "y"})
_FALSE: Final = frozenset({"false", "0", "no", "off", "f", "n"})
_MEDIA: Final[tuple[MediaKind, ...]] = get_args(MediaKind)
_TEXT: Final = "text"


class FormOptions(AnswerOptions, frozen=True, kw_only=True):
    """`model_kwargs`: what a chat has, and M*'s own names for some of it."""

    model: scalars.ModelName | None = None
    voice: Annotated[str, Meta(max_length=256)] | None = None
    max_output_tokens: scalars.MaxTokens | None = None
    """`max_completion_tokens`, as M* calls it."""
    instructions: Annotated[str, Meta(max_length=4096)] | None = None
    """How to speak; of models that only speak."""
    language: Annotated[str, Meta(min_length=1, max_length=64)] | None = None


@dataclass(frozen=True, slots=True)
class FormBody:
    """`openai.order.CallerBody` of a form."""

    model: str | None
    request_id: str | None
    text: str
    parts: tuple[Part, ...]
    """Everything that is to be seen, in order; the text among it."""
    outputs: tuple[str, ...]
    stream: bool
    options: FormOptions

    @property
    def timeout(self) -> float | None:
        return self.options.timeout

    @property
    def stage_params(self) -> dict[str, dict[str, Value]] | None:
        return self.options.stage_params

    @property
    def events(self) -> bool | None:
        return self.options.events


_parse_options = BodyParser(FormOptions)


def form_body(form: Form) -> FormBody:
    """Raises RequestError naming the field."""
    fields = form.fields
    for name in (*fields, *(file.field for file in form.files)):
        if name not in FIELDS:
            shown = name[:64]
            raise invalid(f"Unknown parameter: '{shown}'{meant(shown, FIELDS)}.", shown, "unknown_parameter")
    if "files" in fields:
        raise invalid("'files' must be files: give each a name.", "files")
    for file in form.files:
        if file.field != "files":
            raise invalid(f"'{file.field}' must be a field, not a file.", file.field)
    options = _options(fields.get(KWARGS))
    return FormBody(
        model=_one_of(fields.get("model"), options.model, "model"),
        request_id=_one_of(fields.get("request_id"), options.request_id, "request_id"),
        text=fields.get("text", ""),
        parts=_parts(fields.get("text", ""), form.files, _modalities(fields.get("input_modalities"), "input")),
        outputs=tuple(_modalities(fields.get("output_modalities"), "output")) or (_TEXT,),
        stream=_flag(fields.get("streaming")),
        options=options,
    )


def under_kwargs(error: RequestError) -> RequestError:
    """An error about an option, whose place is in `model_kwargs`."""
    if error.param is None:
        return RequestError(error.kind, error.message, param=KWARGS, code=error.code)
    return RequestError(error.kind, error.message, param=f"{KWARGS}.{error.param}", code=error.code)


def _options(text: str | None) -> FormOptions:
    if not text:
        return FormOptions()
    try:
        return _parse_options(text.encode())
    except RequestError as error:
        if error.code == "invalid_json":
            raise invalid(f"'{KWARGS}' is not JSON.", KWARGS, "invalid_json") from error
        raise under_kwargs(error) from error


def _one_of(field: str | None, option: str | None, name: str) -> str | None:
    if field is None or option is None:
        return option if field is None else field
    if field != option:
        raise invalid(f"'{name}' and '{KWARGS}.{name}' differ: give one of them.", name)
    return field


def _flag(text: str | None) -> bool:
    word = (text or "true").strip().lower()
    if word not in _TRUE | _FALSE:
        raise invalid("'streaming' must be true or false.", "streaming")
    return word in _TRUE


def _modalities(text: str | None, which: str) -> Sequence[str]:
    names = [name for part in (text or "").split(",") if (name := part.strip().lower())]
    twice = [name for index, name in enumerate(names) if name in names[:index]]
    if twice:
        raise invalid(f"'{which}_modalities' has {twice[0][:64]} twice.", f"{which}_modalities")
    return names


def _parts(text: str, files: Sequence[FormFile], order: Sequence[str]) -> tuple[Part, ...]:
    media = [_part(file, f"files[{index}]") for index, file in enumerate(files)]
    given: list[Part] = [*media, Part("text", text)] if text else media
    if not given:
        raise invalid("There is nothing to answer: give 'text' or 'files'.", "text", "missing_required_parameter")
    if not order:
        return tuple(given)
    _check_modalities(order, {part.type for part in given})
    return tuple(sorted(given, key=lambda part: order.index(part.type)))


def _check_modalities(order: Sequence[str], kinds: Collection[str]) -> None:
    for name in order:
        if name not in (_TEXT, *_MEDIA):
            raise invalid(f"'input_modalities': there is no input '{name[:64]}'.", "input_modalities")
        if name not in kinds:
            raise invalid(f"'input_modalities' names {name}, and none came.", "input_modalities")
    for kind in kinds:
        if kind not in order:
            raise invalid(f"'input_modalities' does not name {kind}, and some came.", "input_modalities")


def _part(file: FormFile, path: str) -> Part:
    found = sniff(file.data)
    if found is None:
        what = unreadable(file.data) if file.data else "empty"
        raise invalid(f"'{path}' is {what}, not an image, sound or video.", path, "invalid_media")
    format = PurePosixPath(file.name).suffix.lower().lstrip(".")
    return Part(found.kind, data=file.data, format=format[:16], path=path)
