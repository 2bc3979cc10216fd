"""Every piece of media of a request brought here before any stage is asked: from the request itself, from a file, from
the web; and counted, so that what goes on is within the pipeline's limits.

What is inside the bytes is the stages' to find out, with one exception: what came by a URL must look like media of its
kind, so that this server cannot be made to read out things of other kinds.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from ipaddress import ip_network
from typing import Final

from msgspec.structs import replace

from omnipipe.errors import ErrorKind, RequestError
from omnipipe.families.requests import Part, TextRequest
from omnipipe.gateway.media.errors import Refused
from omnipipe.gateway.media.files import read_file
from omnipipe.gateway.media.urls import data_url
from omnipipe.media.limits import MediaLimits
from omnipipe.media.refusals import Piece
from omnipipe.spec.plan import MediaPlan, Plan

__all__ = ["Fetch", "MediaResolver"]

Fetch = Callable[[str, int], Awaitable[bytes]]
"""URL and the most bytes -> the bytes. Raises Refused."""

_PARALLEL: Final = 4
"""Fetches at once for one request."""
_PARALLEL_ALL: Final = 32
"""For all requests to a pipeline: each may hold as many bytes as one piece may have."""
_OVERHEAD_BYTES: Final = 1 << 20
"""Kept free for the rest of a request in the message that takes its media to a stage."""


class MediaResolver:
    """One for a pipeline."""

    def __init__(self, plan: Plan, fetch: Fetch | None = None) -> None:
        """`fetch`: in place of the one that the plan asks for."""
        policy = plan.gateway.media
        self._policy = policy
        self._max_total = max(0, min(policy.max_total_bytes, plan.transport.max_message_bytes - _OVERHEAD_BYTES))
        self._limits = MediaLimits(max_bytes=policy.max_bytes)
        self._told = _told(policy)
        self._fetch = fetch
        self._slots = asyncio.Semaphore(_PARALLEL_ALL)

    async def resolve(self, request: TextRequest) -> TextRequest:
        """The request with the bytes of all its media in it. Raises RequestError INVALID, naming the part."""
        media = [part for message in request.messages for part in message.parts if part.type != "text"]
        if not media:
            return request
        if len(media) > self._policy.max_items:
            beyond = media[self._policy.max_items]
            raise _invalid(beyond, f"is one piece of media too many: the limit is {self._policy.max_items} a request")
        brought = iter(await self._bring_all(media))
        messages = tuple(
            replace(message, parts=tuple(part if part.type == "text" else next(brought) for part in message.parts))
            for message in request.messages
        )
        return replace(request, messages=messages, media_limits=self._told)

    async def _bring_all(self, media: Sequence[Part]) -> list[Part]:
        """In order. The first that fails ends the others; so does a client that leaves."""
        room = _Room(self._policy.max_bytes, self._max_total)
        for part in media:
            room.take(part, part.data)
        if not any(part.url for part in media):
            return list(media)
        own = asyncio.Semaphore(_PARALLEL)
        ends = asyncio.get_running_loop().time() + self._policy.fetch_timeout_s
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(self._bring(part, room, own, ends)) for part in media]
        except BaseExceptionGroup as errors:
            raise errors.exceptions[0] from errors
        return [task.result() for task in tasks]

    async def _bring(self, part: Part, room: "_Room", own: asyncio.Semaphore, ends: float) -> Part:
        if not part.url:
            return part
        try:
            async with asyncio.timeout_at(ends), own, self._slots:
                data = await self._read(part.url)
        except Refused as refused:
            raise _invalid(part, str(refused)) from refused
        except TimeoutError as error:
            limit = f"{self._policy.fetch_timeout_s:g}"
            raise _invalid(part, f"could not be fetched within {limit} seconds, the limit for one request") from error
        room.take(part, data)
        Piece(part.path or None, self._limits).expect(part.type, data)
        return replace(part, url="", data=data)

    async def _read(self, url: str) -> bytes:
        policy = self._policy
        scheme = url[:8].partition(":")[0].lower()
        match scheme:
            case "data":
                return data_url(url, policy.max_bytes)
            case "file" if policy.allowed_folders:
                return await asyncio.to_thread(read_file, url, policy.allowed_folders, policy.max_bytes)
            case "http" | "https" if policy.allowed_hosts:
                return await self._fetcher()(url, policy.max_bytes)
            case "file" | "http" | "https":
                article = "a" if scheme == "file" else "an"
                raise Refused(
                    f"is {article} {scheme}: URL, which this server does not fetch. Send a base64 data: URL instead"
                )
            case _:
                raise Refused("must be a data: URL, or one of the kinds that this server was told to fetch")

    def _fetcher(self) -> Fetch:
        if self._fetch is None:
            from omnipipe.gateway.media.fetch import Fetcher  # and h11, which most gateways never need

            networks = [ip_network(text) for text in self._policy.allowed_networks]
            self._fetch = Fetcher(self._policy.allowed_hosts, networks).fetch
        return self._fetch


class _Room:
    """What the media of one request may still add up to. Counted one by one as they come, not when all are here."""

    def __init__(self, max_bytes: int, max_total: int) -> None:
        self._max_bytes = max_bytes
        self._max_total = max_total
        self._total = 0

    def take(self, part: Part, data: bytes) -> None:
        if len(data) > self._max_bytes:
            raise _invalid(part, f"is too large: {len(data)} bytes, and the limit is {self._max_bytes}")
        self._total += len(data)
        if self._total > self._max_total:
            raise _invalid(part, f"is too much: all media of a request may be {self._max_total} bytes together")


def _told(policy: MediaPlan) -> dict[str, float]:
    """What a stage has to know of the limits: where they differ from those that it takes by itself."""
    limits = {name: getattr(policy, name) for name in ("max_bytes", "max_pixels", "max_seconds")}
    usual = MediaLimits()
    return {name: value for name, value in limits.items() if value != getattr(usual, name)}


def _invalid(part: Part, what: str) -> RequestError:
    name = f"'{part.path}'" if part.path else "A piece of media"
    return RequestError(ErrorKind.INVALID, f"{name} {what}.", param=part.path or None, code="invalid_media")
