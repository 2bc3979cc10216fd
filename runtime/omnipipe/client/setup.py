"""What every request of one client has in common, and what one call asks for. Values only: nothing is sent here."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from io import BytesIO
from typing import Any, Literal

import httpx

from omnipipe import __version__
from omnipipe.client.limits import Deadline, TimeLimits
from omnipipe.client.media import Upload

__all__ = ["API_KEY_VARIABLE", "MAX_ANSWER_BYTES", "Call", "Setup", "read_setup"]

API_KEY_VARIABLE = "OMNIPIPE_API_KEY"
MAX_ANSWER_BYTES = 1 << 30
"""Of an answer that is not streamed. More is a fault, and would fill the memory."""
_PROBE_LIMIT_S = 10.0


@dataclass(frozen=True, slots=True)
class Call:
    method: Literal["GET", "POST"]
    path: str
    fields: Mapping[str, str] = field(default_factory=dict)
    files: tuple[Upload, ...] = ()
    streamed: bool = False


@dataclass(frozen=True, slots=True)
class Setup:
    base_url: str
    headers: Mapping[str, str] = field(repr=False)
    """The key is among them."""
    limits: TimeLimits
    max_retries: int

    def probe(self) -> "Setup":
        """For the question whether the server is well: asked once, and not for long."""
        total = min(_PROBE_LIMIT_S, self.limits.total or _PROBE_LIMIT_S)
        return replace(self, limits=replace(self.limits, total=total), max_retries=0)

    def request(self, call: Call, deadline: Deadline) -> dict[str, Any]:
        """The arguments of httpx's `build_request`. Made anew for every try: files are read by being sent."""
        limits = self.limits
        timeout = httpx.Timeout(
            deadline.left(),
            connect=deadline.within(limits.connect),
            read=deadline.within(limits.silence if call.streamed else None),
        )
        arguments: dict[str, Any] = {
            "method": call.method,
            "url": self.base_url + call.path,
            "headers": dict(self.headers),
            "timeout": timeout,
        }
        if call.method == "POST":
            # Without a file, too, as parts of a form: one shape for the server, and no escaping of long texts.
            parts: list[tuple[str, tuple[str | None, str] | tuple[str, BytesIO, str]]] = [
                (name, (None, value)) for name, value in call.fields.items()
            ]
            parts += [("files", (file.name, BytesIO(file.content), file.mime)) for file in call.files]
            arguments["files"] = parts
        return arguments


def read_setup(
    base_url: str,
    api_key: str | None,
    timeout: float | TimeLimits | None,
    max_retries: int,
    headers: Mapping[str, str] | None,
) -> Setup:
    """Raises ValueError for what could only fail later, and less plainly."""
    if max_retries < 0:
        raise ValueError(f"max_retries is 0 or more, not {max_retries}")
    key = _key(os.environ.get(API_KEY_VARIABLE) if api_key is None else api_key)
    sent = {"user-agent": f"omnipipe-python/{__version__}"}
    if key:
        sent["authorization"] = f"Bearer {key}"
    for name, value in (headers or {}).items():
        if not (name.isascii() and name.isprintable() and value.isascii() and value.isprintable()):
            raise ValueError(f"headers: {name!r} has characters that no header can hold")
        sent[name.lower()] = value
    return Setup(_root(base_url), sent, _limits(timeout), max_retries)


def _root(base_url: str) -> str:
    """Without the /v1 that the clients of OpenAI's API are given: both kinds of address then work."""
    try:
        url = httpx.URL(base_url)
    except (httpx.InvalidURL, TypeError) as error:
        raise ValueError(f"base_url: {error}") from error
    if url.scheme not in ("http", "https") or not url.host:
        raise ValueError(f"base_url is the server's address, such as http://localhost:8000, not {base_url!r}")
    if url.query or url.fragment:
        raise ValueError(f"base_url has neither a query nor a fragment: {base_url!r}")
    return base_url.strip().rstrip("/").removesuffix("/v1").rstrip("/")


def _key(api_key: str | None) -> str | None:
    key = (api_key or "").strip()  # a key read from a file ends in a line break
    if not key.isascii() or not key.isprintable() or " " in key:
        raise ValueError(f"the API key ({API_KEY_VARIABLE} or api_key) has characters that no header can hold")
    return key or None


def _limits(timeout: float | TimeLimits | None) -> TimeLimits:
    if isinstance(timeout, TimeLimits):
        return timeout
    return replace(TimeLimits(), total=timeout)
