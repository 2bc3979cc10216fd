"""One GET for a piece of media, guarded.

On h11 and asyncio's streams, rather than on an HTTP client: the guard decides to which address a connection goes, which
clients do not offer without reaching into them, and pools, cookies, proxies of the environment and redirects that they
do by themselves are what is not wanted here. h11 comes with the server.
"""

import asyncio
import logging
import ssl
import zlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Final

import h11

from omnipipe.gateway.media.addresses import Lookup, Network, checked_addresses, look_up
from omnipipe.gateway.media.errors import Refused
from omnipipe.gateway.media.urls import Target, host_allowed, web_target

__all__ = ["Fetcher"]

_log = logging.getLogger("omnipipe.gateway.media")

_MAX_REDIRECTS: Final = 3
_READ_BYTES: Final = 1 << 16
_CONNECT_S: Final = 5.0
"""For one of a host's addresses, so that there is time for the next."""
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_HEADERS: Final = (
    ("User-Agent", "omnipipe"),
    ("Accept", "image/*, audio/*, video/*"),
    ("Accept-Encoding", "identity"),
    ("Connection", "close"),
)
_GZIP: Final = 16 + zlib.MAX_WBITS


class Fetcher:
    def __init__(
        self,
        hosts: Sequence[str],
        networks: Sequence[Network],
        *,
        lookup: Lookup = look_up,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """`hosts`, `networks`: as the manifest allows them. `tls`: in place of the system's authorities."""
        self._hosts = hosts
        self._networks = networks
        self._lookup = lookup
        self._tls = tls

    async def fetch(self, url: str, max_bytes: int) -> bytes:
        """The caller sets the time limit."""
        target = web_target(url)
        for _ in range(_MAX_REDIRECTS + 1):
            found = await self._get(target, max_bytes)
            if isinstance(found, bytes):
                return found
            target = target.redirected(found)
        raise Refused(f"could not be fetched: it redirects more than {_MAX_REDIRECTS} times")

    async def _get(self, target: Target, max_bytes: int) -> bytes | str:
        """The body, or where else to look."""
        if not host_allowed(target.host, self._hosts):
            raise Refused("could not be fetched: this server does not fetch from its host")
        try:
            addresses = await checked_addresses(target.host, target.port, self._lookup, self._networks)
        except Refused:
            _log.info("not fetching media from %s: it has no address that is allowed", target.host)
            raise
        async with self._connected(target, addresses) as (reader, writer):
            try:
                return await _exchange(target, reader, writer, max_bytes)
            except (OSError, h11.ProtocolError, zlib.error) as error:
                raise Refused(
                    "could not be fetched: its host broke the answer off, or sent one that is not HTTP"
                ) from error

    @asynccontextmanager
    async def _connected(
        self, target: Target, addresses: Sequence[str]
    ) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        reader, writer = await self._connect(target, addresses)
        try:
            yield reader, writer
        finally:
            writer.transport.abort()  # nothing more is to be said, and a peer that does not listen is not waited for

    async def _connect(
        self, target: Target, addresses: Sequence[str]
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        tls = await self._context() if target.scheme == "https" else None
        name = target.host if tls else None
        for address in addresses:
            try:
                async with asyncio.timeout(_CONNECT_S):
                    return await asyncio.open_connection(address, target.port, ssl=tls, server_hostname=name)
            except (OSError, TimeoutError, ssl.CertificateError) as error:
                _log.info("no connection to %s for media: %s", target.host, type(error).__name__)
        raise Refused("could not be fetched: no connection to its host, or none that can be trusted")

    async def _context(self) -> ssl.SSLContext:
        """Made at the first use: reading the authorities takes some tens of milliseconds."""
        if self._tls is None:
            self._tls = await asyncio.to_thread(ssl.create_default_context)
        return self._tls


async def _exchange(
    target: Target, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, max_bytes: int
) -> bytes | str:
    connection = h11.Connection(h11.CLIENT)
    head = h11.Request(method="GET", target=target.path, headers=[("Host", target.authority), *_HEADERS])
    writer.write(connection.send(head) + connection.send(h11.EndOfMessage()))
    body: _Body | None = None
    while True:
        event = connection.next_event()
        if event is h11.NEED_DATA:
            connection.receive_data(await reader.read(_READ_BYTES))
        elif isinstance(event, h11.Response):
            headers = dict(event.headers)
            if event.status_code in _REDIRECTS and b"location" in headers:
                return headers[b"location"].decode("latin-1")
            if event.status_code != 200:
                raise Refused(f"could not be fetched: its host answered with status {event.status_code}")
            body = _Body(headers, max_bytes)
        elif isinstance(event, h11.Data):
            assert body is not None, "h11 puts the head before the body"
            body.add(bytes(event.data))
        elif isinstance(event, h11.EndOfMessage):
            assert body is not None, "h11 puts the head before the end"
            return body.whole()
        elif isinstance(event, h11.ConnectionClosed):
            raise Refused("could not be fetched: its host closed the connection without an answer")


class _Body:
    """The bytes that come, counted as they come and as they are unpacked; what a header says of them is a claim."""

    def __init__(self, headers: dict[bytes, bytes], max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._came = 0
        self._kept = bytearray()
        self._unpacker: zlib._Decompress | None = None
        declared = headers.get(b"content-length", b"")
        if declared.isdigit() and int(declared[:20]) > max_bytes:
            self._too_large()
        coding = headers.get(b"content-encoding", b"").strip().lower()
        if coding in (b"gzip", b"x-gzip"):  # although it was not asked for
            self._unpacker = zlib.decompressobj(_GZIP)
        elif coding not in (b"", b"identity"):
            raise Refused("could not be fetched: its host packs it in a way that is not read here")

    def add(self, data: bytes) -> None:
        self._came += len(data)
        if self._came > self._max_bytes:
            self._too_large()
        if self._unpacker is not None:
            data = self._unpacker.decompress(data, self._max_bytes + 1 - len(self._kept))
        self._kept += data
        if len(self._kept) > self._max_bytes:
            self._too_large()

    def whole(self) -> bytes:
        if self._unpacker is not None and not self._unpacker.eof:
            raise Refused("could not be fetched: its host broke the answer off")
        return bytes(self._kept)

    def _too_large(self) -> None:
        raise Refused(f"is too large: the limit is {self._max_bytes} bytes")
