"""What the API server's refusals mean, and how they read. Pure."""

import json
from typing import Any

from omnipipe_operator.cluster.errors import (
    ClusterError,
    Conflict,
    Forbidden,
    Gone,
    Invalid,
    NamespaceEnding,
    NoSuchKind,
    NotFound,
    Throttled,
    Unavailable,
)
from omnipipe_operator.cluster.kinds import Kind
from omnipipe_operator.observed import Object

__all__ = ["error_of", "watch_error"]

_LONGEST = 1024
_NAMESPACE_ENDING = b'"NamespaceTerminating"'
"""The reason of a cause in the status."""
_WRONG_TYPE = "failed to create typed patch object"
"""How the API server begins when a field of an applied object has another type than its kind says. It calls that an
error of its own (500): it would be tried for ever, and nobody would be told."""
_DEFAULT_RETRY_S = 1.0


def error_of(code: int, body: bytes, retry_after: str | None, verb: str, kind: Kind, path: str) -> ClusterError:
    message = _message(body) or f"HTTP {code}"
    words = f"cannot {verb} {kind.resource} ({path}): {message}"
    match code:
        case 403 if _NAMESPACE_ENDING in body:
            return NamespaceEnding(words, code)
        case 401 | 403:
            return Forbidden(f"not allowed to {verb} {kind.resource}: {message}", code)
        case 404:
            return NotFound(words, code) if _names_an_object(body) else NoSuchKind(words, code)
        case 409:
            return Conflict(words, code)
        case 410:
            return Gone(words, code)
        case 400 | 413 | 415 | 422:
            return Invalid(words, code)
        case 500 if message.startswith(_WRONG_TYPE):
            return Invalid(words, code)
        case 429:
            return Throttled(words, code, _seconds(retry_after) or _DEFAULT_RETRY_S)
        case _ if code >= 500:
            return Unavailable(words, code, _seconds(retry_after))
        case _:
            return ClusterError(words, code)


def watch_error(kind: Kind, status: Object) -> ClusterError:
    """Of an ERROR event in a stream that began well."""
    code = status.get("code", 0)
    return error_of(code or 500, json.dumps(status).encode(), None, "watch", kind, "stream")


def _message(body: bytes) -> str:
    try:
        status: Any = json.loads(body)
    except ValueError:
        text = body.decode(errors="replace").strip()
    else:
        text = str(status.get("message", "")) if isinstance(status, dict) else str(status)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


def _names_an_object(body: bytes) -> bool:
    """Of a 404: "no such object", and not "no such path"."""
    try:
        status: Any = json.loads(body)
    except ValueError:
        return False
    return isinstance(status, dict) and bool((status.get("details") or {}).get("name"))


def _seconds(text: str | None) -> float:
    try:
        return max(0.0, float(text or 0))
    except ValueError:
        return 0.0
