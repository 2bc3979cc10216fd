"""Reading the URLs of media, strictly: what two parsers could read in two ways is refused."""

import binascii
import re
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv6Address
from typing import Final, Literal
from urllib.parse import SplitResult, quote, unquote_to_bytes, urljoin, urlsplit

from omnipipe.gateway.media.errors import Refused

__all__ = ["Target", "data_url", "host_allowed", "web_target"]

_MAX_URL: Final = 8192
_UNSAFE: Final = re.compile(r"[\x00-\x20\x7f\\]")
"""Browsers strip or turn these, other parsers do not."""
_HOST: Final = re.compile(r"[a-z0-9]([-a-z0-9_]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9_]*[a-z0-9])?)*")
_DATA: Final = re.compile(r"data:(?P<type>[^,;]*)(?P<params>(?:;[^,;]*)*),", re.IGNORECASE)
_PORTS: Final = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Target:
    """Where a request for http: or https: goes."""

    scheme: Literal["http", "https"]
    host: str
    """In lower case, ASCII, without the dot of the root and the brackets of IPv6."""
    port: int
    path: str
    """With the query, as it is sent."""

    @property
    def authority(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def url(self) -> str:
        return f"{self.scheme}://{self.authority}{self.path}"

    def redirected(self, location: str) -> "Target":
        target = web_target(urljoin(self.url, location))
        if self.scheme == "https" and target.scheme == "http":
            raise Refused("could not be fetched: it redirects from https: to http:")
        return target


def web_target(url: str) -> Target:
    if len(url) > _MAX_URL:
        raise Refused(f"is too long a URL: the limit is {_MAX_URL} characters")
    if _UNSAFE.search(url):
        raise Refused("is not a valid URL: it has spaces, control characters or backslashes in it")
    try:
        parts = urlsplit(url)
        port = parts.port
        host = _host(parts)
    except ValueError as error:  # UnicodeError included
        raise Refused("is not a valid URL") from error
    if parts.scheme not in _PORTS:
        raise Refused("must be an https:, http: or data: URL")
    scheme: Literal["http", "https"] = "https" if parts.scheme == "https" else "http"
    if parts.username is not None or parts.password is not None:
        raise Refused("must not have a user name or password in it")
    if port == 0:
        raise Refused("is not a valid URL: there is no port 0")
    path = quote(parts.path or "/", safe="/%:=&~+!$,;'@()*-._")
    query = quote(parts.query, safe="/%:=&~+!$,;'@()*-._?[]")
    return Target(scheme, host, port or _PORTS[scheme], f"{path}?{query}" if query else path)


def host_allowed(host: str, allowed: Sequence[str]) -> bool:
    """`allowed`: exact names, `*.example.com` for those below one, `*` for all."""
    for pattern in allowed:
        if pattern == "*" or host == pattern or (pattern.startswith("*.") and host.endswith(pattern[1:])):
            return True
    return False


def data_url(url: str, max_bytes: int) -> bytes:
    found = _DATA.match(url)
    if found is None:
        raise Refused("is not a valid data: URL: it must be data:TYPE;base64,DATA or data:TYPE,DATA")
    text = url[found.end() :]
    is_base64 = found["params"].lower().endswith(";base64")
    if len(text) // (2 if is_base64 else 3) > max_bytes:  # three characters may stand for one byte
        raise Refused(f"is too large: the limit is {max_bytes} bytes")
    if not is_base64:
        return unquote_to_bytes(text)
    try:
        return binascii.a2b_base64(unquote_to_bytes(text) if "%" in text else text.encode("ascii"), strict_mode=True)
    except (binascii.Error, UnicodeEncodeError) as error:
        raise Refused("is not valid base64") from error


def _host(parts: SplitResult) -> str:
    """Raises ValueError."""
    host = (parts.hostname or "").rstrip(".")
    if not host.isascii():
        host = host.encode("idna").decode("ascii")
    if ":" in host and "%" not in host:  # a zone would be one of this machine's links
        return str(IPv6Address(host))
    if len(host) > 253 or not _HOST.fullmatch(host):
        raise ValueError("no host, or one with characters that no name has")
    return host
