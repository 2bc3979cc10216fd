"""Bytes to the API server and back, over aiohttp's connections, with the credentials that `kubernetes.aio` found.

Its own client does not come between: it asks the environment for proxies and a file in the home for passwords at each
call, in a thread, which was a third of all that an operator does while it makes many pipelines.
"""

import asyncio
import ssl
from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import urlencode

import aiohttp
import msgspec

from omnipipe_operator.cluster.access import Access
from omnipipe_operator.cluster.errors import ClusterError, Unavailable
from omnipipe_operator.cluster.kinds import Kind
from omnipipe_operator.cluster.limit import RateLimit
from omnipipe_operator.cluster.port import FIELD_MANAGER
from omnipipe_operator.cluster.refusals import error_of

__all__ = ["Connection", "Count", "decoded", "words_of"]

_CALL_S: Final = 15.0
"""A call that takes longer has lost its server: writes take milliseconds, lists are read in pages."""
_CONNECT_S: Final = 5.0
_BUFFER: Final = 2 << 20
"""Bytes of an answer read ahead of whoever takes them."""
_CALL: Final = aiohttp.ClientTimeout(total=_CALL_S, sock_connect=_CONNECT_S)

Count = Callable[[str, str, int], None]


class Connection:
    """`count` is told of every call: verb, resource, code (0: no answer)."""

    def __init__(self, access: Access, tls: ssl.SSLContext, limit: RateLimit, count: Count) -> None:
        self._access, self._tls, self._limit, self._count = access, tls, limit, count
        self._session: aiohttp.ClientSession | None = None
        self._options: dict[str, Any] = {}

    async def open(self) -> None:
        configuration: Any = self._access.configuration
        connector = aiohttp.TCPConnector(limit=configuration.connection_pool_maxsize, ssl=self._tls)
        self._session = aiohttp.ClientSession(
            connector=connector, read_bufsize=_BUFFER, headers={"User-Agent": FIELD_MANAGER}
        )
        named = {
            "proxy": configuration.proxy,
            "proxy_headers": configuration.proxy_headers,
            "server_hostname": configuration.tls_server_name,
        }
        self._options = {name: value for name, value in named.items() if value}

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()

    async def call(
        self,
        method: str,
        verb: str,
        kind: Kind,
        path: str,
        query: Mapping[str, str],
        body: Any = None,
        headers: Mapping[str, str] | None = None,
    ) -> tuple[int, bytes]:
        """Status, below 300, and the whole answer. Raises ClusterError."""
        await self._limit.wait()
        response = await self.send(method, verb, kind, path, query, body, headers)
        return response.status, await self.read(response, verb, kind)

    async def send(
        self,
        method: str,
        verb: str,
        kind: Kind,
        path: str,
        query: Mapping[str, str],
        body: Any = None,
        headers: Mapping[str, str] | None = None,
        *,
        silence_s: float | None = None,
    ) -> aiohttp.ClientResponse:
        """Answers with a status below 300; its body is still to be read. `silence_s`: it may go on for ever, but not
        without a word for so long."""
        assert self._session is not None  # opened
        url = f"{self._access.configuration.host}{path}" + (f"?{urlencode(query)}" if query else "")
        timeout = _CALL if silence_s is None else _endless(silence_s)
        try:
            sent = {**await self._access.headers(), **(headers or {})}
            data = None if body is None else msgspec.json.encode(body)
            response = await self._session.request(
                method, url, headers=sent, data=data, timeout=timeout, **self._options
            )
        except (aiohttp.ClientError, TimeoutError, OSError, ssl.SSLError) as error:
            self._count(verb, kind.plural, 0)
            raise Unavailable(f"cannot {verb} {kind.resource}: {words_of(error)}") from error
        self._count(verb, kind.plural, response.status)
        if response.status >= 300:
            raise await self._refusal(response, verb, kind, path)
        return response

    async def read(self, response: aiohttp.ClientResponse, verb: str, kind: Kind) -> bytes:
        try:
            return await response.read()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise Unavailable(f"cannot {verb} {kind.resource}: {words_of(error)}") from error

    async def _refusal(self, response: aiohttp.ClientResponse, verb: str, kind: Kind, path: str) -> ClusterError:
        body = await self.read(response, verb, kind)
        return error_of(response.status, body, response.headers.get("Retry-After"), verb, kind, path)


def decoded(data: bytes, verb: str, kind: Kind) -> Any:
    """Raises Unavailable: what is no JSON did not come from an API server, or not all of it did."""
    try:
        return msgspec.json.decode(data)
    except msgspec.DecodeError as error:
        raise Unavailable(f"cannot {verb} {kind.resource}: the answer is no JSON: {error}") from error


def words_of(error: BaseException) -> str:
    if isinstance(error, (asyncio.TimeoutError, TimeoutError)):
        return "no answer in time"
    return str(error) or type(error).__name__


def _endless(silence_s: float) -> aiohttp.ClientTimeout:
    return aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_S, sock_read=silence_s)
