"""Forms as browsers, curl and HTTP libraries send them, read while they arrive. What is a file and what a field is the
sender's to say; nothing here knows what they mean."""

from dataclasses import dataclass, field
from typing import Final
from urllib.parse import parse_qsl

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from omnipipe.gateway.body import feed_body, read_body
from omnipipe.gateway.exchange import Exchange
from omnipipe.gateway.openai.refusals import invalid

__all__ = ["Form", "FormFile", "is_form", "read_form"]

_MULTIPART: Final = b"multipart/form-data"
_URLENCODED: Final = b"application/x-www-form-urlencoded"
_MAX_PARTS: Final = 128
_MAX_QUOTED: Final = 64
"""Characters of a client's own text that a message repeats."""


@dataclass(frozen=True, slots=True)
class FormFile:
    field: str
    name: str
    data: bytes


@dataclass(slots=True)
class Form:
    fields: dict[str, str] = field(default_factory=dict)
    files: list[FormFile] = field(default_factory=list)

    def add(self, name: str, value: bytes) -> None:
        shown = name[:_MAX_QUOTED]
        if name in self.fields:
            raise invalid(f"The field '{shown}' is there twice.", shown)
        try:
            self.fields[name] = value.decode()
        except UnicodeDecodeError as error:
            raise invalid(f"The field '{shown}' is not text in UTF-8.", shown) from error


def is_form(content_type: bytes) -> bool:
    kind = content_type.partition(b";")[0].strip().lower()
    return kind in (_MULTIPART, _URLENCODED)


async def read_form(exchange: Exchange, *, limit: int, timeout_s: float) -> Form:
    """Raises RequestError. `limit`: bytes of the whole body, and so of what is kept of it."""
    kind, options = parse_options_header(exchange.content_type)
    if kind.lower() == _URLENCODED:
        return _from_query(await read_body(exchange, limit=limit, timeout_s=timeout_s))
    boundary = options.get(b"boundary")
    if not boundary:
        raise _malformed("its content type names no boundary")
    try:
        reader = _Reader(boundary)
        await feed_body(exchange, reader.take, limit=limit, timeout_s=timeout_s)
    except FormParserError as error:
        raise _malformed("its parts are not as multipart/form-data has them") from error
    return reader.form()


class _Reader:
    """Parts of a multipart body as they come."""

    def __init__(self, boundary: bytes) -> None:
        self._form = Form()
        self._parts = 0
        self._ended = False
        self._header = bytearray()
        self._value = bytearray()
        self._disposition = b""
        self._data = bytearray()
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._begin,
                "on_header_field": self._header_field,
                "on_header_value": self._header_value,
                "on_header_end": self._header_end,
                "on_part_data": self._part_data,
                "on_part_end": self._part_end,
                "on_end": self._end,
            },
        )

    def take(self, data: bytes) -> None:
        if data:
            self._parser.write(data)

    def form(self) -> Form:
        if not self._ended:
            raise _malformed("it ends before its last boundary")
        return self._form

    def _begin(self) -> None:
        self._parts += 1
        if self._parts > _MAX_PARTS:
            raise invalid(f"The form has more than {_MAX_PARTS} parts.", "files")
        self._disposition = b""
        self._data = bytearray()

    def _header_field(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _header_end(self) -> None:
        if self._header.lower() == b"content-disposition":
            self._disposition = bytes(self._value)
        self._header.clear()
        self._value.clear()

    def _part_data(self, data: bytes, start: int, end: int) -> None:
        self._data += memoryview(data)[start:end]

    def _part_end(self) -> None:
        _, options = parse_options_header(self._disposition)
        name = options.get(b"name", b"").decode(errors="replace")
        if not name:
            raise _malformed("one of its parts has no name")
        if b"filename" in options:
            file = options[b"filename"].decode(errors="replace")
            self._form.files.append(FormFile(name, file, bytes(self._data)))
        else:
            self._form.add(name, bytes(self._data))
        self._data = bytearray()

    def _end(self) -> None:
        self._ended = True


def _from_query(body: bytes) -> Form:
    form = Form()
    try:
        # A byte a character, both ways: what the bytes mean is for whoever reads the field.
        pairs = parse_qsl(body.decode("latin-1"), keep_blank_values=True, max_num_fields=_MAX_PARTS, encoding="latin-1")
    except ValueError as error:
        raise invalid(f"The form has more than {_MAX_PARTS} fields.", "text") from error
    for name, value in pairs:
        form.add(name.encode("latin-1").decode(errors="replace"), value.encode("latin-1"))
    return form


def _malformed(why: str) -> Exception:
    return invalid(f"We could not parse the form of your request: {why}.", "files", "invalid_form")
