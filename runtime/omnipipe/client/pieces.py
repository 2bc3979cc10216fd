"""The documents of POST /generate: one piece of output a line, or all of them in one JSON object, to typed pieces.

Strict: what cannot be read is an error that shows its beginning, never something to skip.
"""

import base64
import binascii
import json
from dataclasses import dataclass
from typing import Any

from omnipipe.client.errors import BadAnswer

__all__ = ["Document", "Piece", "decode_base64", "parse_document", "parse_json", "parse_line"]

SHOWN_CHARS = 120


@dataclass(frozen=True, slots=True)
class Piece:
    modality: str
    data: str
    """Base64, as it came."""
    metadata: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Document:
    """An answer that was not streamed."""

    request_id: str | None
    pieces: list[Piece]
    usage: dict[str, Any] | None
    finish_reason: str | None


def parse_line(line: bytes) -> Piece:
    fields = parse_json(line)
    if not isinstance(fields, dict) or not isinstance(fields.get("modality"), str):
        raise _unreadable(line, "is no piece of output: it has no modality")
    return _piece(fields["modality"], fields, line)


def parse_document(body: bytes) -> Document:
    fields = parse_json(body)
    if not isinstance(fields, dict) or not isinstance(fields.get("outputs"), dict):
        raise _unreadable(body, "is no answer of /generate: it has no outputs")
    pieces = []
    for modality, entries in fields["outputs"].items():
        if not isinstance(entries, list):
            raise _unreadable(body, f"is no answer of /generate: its {modality} is no list")
        pieces += [_piece(modality, entry, body) for entry in entries]
    request_id, usage, finish_reason = fields.get("request_id"), fields.get("usage"), fields.get("finish_reason")
    return Document(
        request_id if isinstance(request_id, str) else None,
        pieces,
        usage if isinstance(usage, dict) else None,
        finish_reason if isinstance(finish_reason, str) else None,
    )


def parse_json(text: bytes) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _unreadable(text, "is no JSON") from error


def decode_base64(data: str) -> bytes:
    try:
        return base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError) as error:
        raise BadAnswer(f"a piece of the answer is not whole base64: {data[:SHOWN_CHARS]!r}") from error


def _piece(modality: str, fields: Any, source: bytes) -> Piece:
    data = fields.get("data") if isinstance(fields, dict) else None
    metadata = fields.get("metadata") if isinstance(fields, dict) else None
    if not isinstance(data, str | None) or not isinstance(metadata, dict | None) or not isinstance(fields, dict):
        raise _unreadable(source, "has a piece of output that is not {data, metadata}")
    return Piece(modality, data or "", metadata or {})


def _unreadable(text: bytes, problem: str) -> BadAnswer:
    shown = text[:SHOWN_CHARS].decode("utf-8", "replace")
    return BadAnswer(f"what the server sent {problem}: {shown}{'...' if len(text) > SHOWN_CHARS else ''}")
