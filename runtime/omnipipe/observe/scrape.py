"""Fetches `/metrics` from the admin addresses of stages: just enough HTTP, with a deadline, for peers of our own.

A stage that does not answer, or not with an exposition, is left out and shown as down: a stuck one must not hide the
others.
"""

import asyncio
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from omnipipe.errors import OmnipipeError
from omnipipe.observe.merge import Exposition, merge

__all__ = ["MAX_BYTES", "TIMEOUT_S", "ScrapeError", "fetch", "process_name", "scrape_all"]

log = logging.getLogger(__name__)

TIMEOUT_S: Final = 1.0
"""For one stage, from connecting to the last byte. A scrape itself may take 10 s by default."""

MAX_BYTES: Final = 8 << 20
"""Of one answer. A stage has a few hundred series, tens of kilobytes."""

_UNIX: Final = "unix:"
_UP_HEAD: Final = """\
# HELP omnipipe_scrape_up Whether the process answered this scrape.
# TYPE omnipipe_scrape_up gauge
"""


class ScrapeError(OmnipipeError):
    """An admin address gave no exposition; the message says why."""


async def scrape_all(
    own: str, addresses: Sequence[str], *, process: str = "gateway", timeout_s: float = TIMEOUT_S
) -> str:
    """`own` and what the stages at `addresses` say, in one document, with `omnipipe_scrape_up` for each stage."""
    answers = await asyncio.gather(*(_try(address, timeout_s) for address in addresses))
    found = [Exposition(process, own)]
    for address, text in zip(addresses, answers, strict=True):
        name = process_name(address)
        found.append(Exposition(name, f"{_UP_HEAD}omnipipe_scrape_up {int(text is not None)}\n{text or ''}"))
    return merge(found)


def process_name(address: str) -> str:
    """`unix:/run/omnipipe-1/compose-0.admin.sock` -> `compose-0`; a TCP address stays as it is."""
    if address.startswith(_UNIX):
        return Path(address).name.removesuffix(".sock").removesuffix(".admin")
    return address


async def fetch(address: str, timeout_s: float) -> str:
    """The exposition at `unix:/path` or `host:port`. Raises ScrapeError."""
    try:
        async with asyncio.timeout(timeout_s):
            return await _fetch(address)
    except TimeoutError as error:
        raise ScrapeError(f"no answer within {timeout_s:g} s") from error
    except (OSError, ValueError, asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
        raise ScrapeError(f"{type(error).__name__}: {error}") from error


async def _try(address: str, timeout_s: float) -> str | None:
    try:
        return await fetch(address, timeout_s)
    except ScrapeError as error:
        log.warning("no metrics from %s: %s", process_name(address), error)
        return None


async def _fetch(address: str) -> str:
    if address.startswith(_UNIX):
        reader, writer = await asyncio.open_unix_connection(address.removeprefix(_UNIX))
    else:
        host, _, port = address.rpartition(":")
        reader, writer = await asyncio.open_connection(host.strip("[]"), int(port))
    try:
        writer.write(b"GET /metrics HTTP/1.0\r\nHost: stage\r\nConnection: close\r\n\r\n")
        await writer.drain()
        head = await reader.readuntil(b"\r\n\r\n")
        status = head.split(b"\r\n", 1)[0].split(b" ")
        if len(status) < 2 or status[1] != b"200":
            raise ScrapeError(f"answered {head.splitlines()[0][:80]!r}")
        return (await _body(reader)).decode()
    finally:
        writer.close()


async def _body(reader: asyncio.StreamReader) -> bytes:
    """Up to the end of the connection: HTTP/1.0 has no chunks."""
    parts, size = [], 0
    while part := await reader.read(1 << 16):
        parts.append(part)
        size += len(part)
        if size > MAX_BYTES:
            raise ScrapeError(f"answered with more than {MAX_BYTES} bytes")
    return b"".join(parts)
