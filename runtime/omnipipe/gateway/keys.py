"""Who may call: bearer keys, compared in constant time, kept only as digests."""

import hashlib
import hmac
from collections.abc import Iterable
from pathlib import Path

from omnipipe.errors import ErrorKind, OmnipipeError, RequestError

__all__ = ["KeyRing", "KeysError"]


class KeysError(OmnipipeError):
    """The configured keys cannot be used; the gateway does not start rather than start open."""


class KeyRing:
    def __init__(self, keys: Iterable[str]) -> None:
        self._digests = [_digest(key.encode()) for key in keys]

    @classmethod
    def load(cls, keys: Iterable[str], file: Path | None) -> "KeyRing":
        found = [key for key in keys if key]
        if file is not None:
            try:
                lines = file.read_text(encoding="utf-8").splitlines()
            except (OSError, UnicodeDecodeError) as error:
                raise KeysError(f"cannot read the API keys file {file}: {error}") from error
            from_file = [key for line in lines if (key := line.partition("#")[0].strip())]
            if not from_file:
                raise KeysError(f"the API keys file {file} holds no key: put one key on a line")
            found += from_file
        return cls(found)

    def __bool__(self) -> bool:
        """Whether a key is asked for at all."""
        return bool(self._digests)

    def check(self, authorization: bytes) -> None:
        """Raises RequestError UNAUTHORIZED. Compares with every key, found or not."""
        scheme, _, token = authorization.partition(b" ")
        if scheme.lower() != b"bearer" or not token.strip():
            raise RequestError(
                ErrorKind.UNAUTHORIZED,
                "You didn't provide an API key. You need to provide your API key in an Authorization header using "
                "Bearer auth (i.e. Authorization: Bearer YOUR_KEY).",
                code="missing_api_key",
            )
        digest = _digest(token.strip())
        known = False
        for other in self._digests:
            known |= hmac.compare_digest(digest, other)
        if not known:
            raise RequestError(ErrorKind.UNAUTHORIZED, "Incorrect API key provided.", code="invalid_api_key")


def _digest(key: bytes) -> bytes:
    """Equal lengths, so that comparing takes equal time; and no key lies about in memory."""
    return hashlib.sha256(key).digest()
