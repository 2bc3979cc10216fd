"""The two clients behind one face, so that a test holds for both."""

import asyncio
from collections.abc import Callable
from typing import Any, Protocol

from omnipipe.client import AsyncOmnipipeClient, GenerateResult, OmnipipeClient, StreamEvent

__all__ = ["BOTH", "Asks"]


class Asks(Protocol):
    def whole(self, url: str, options: dict[str, Any] | None = None, **given: Any) -> GenerateResult: ...

    def events(
        self,
        url: str,
        options: dict[str, Any] | None = None,
        *,
        take: int | None = None,
        seen: Callable[[StreamEvent], None] = lambda _: None,
        **given: Any,
    ) -> list[StreamEvent]:
        """All of a stream's events, or as many as `take` and then no more, told to `seen` as they come."""


class _Blocking:
    def whole(self, url: str, options: dict[str, Any] | None = None, **given: Any) -> GenerateResult:
        with OmnipipeClient(url, **(options or {})) as client:
            result: GenerateResult = client.generate(**given)
            return result

    def events(
        self,
        url: str,
        options: dict[str, Any] | None = None,
        *,
        take: int | None = None,
        seen: Callable[[StreamEvent], None] = lambda _: None,
        **given: Any,
    ) -> list[StreamEvent]:
        found: list[StreamEvent] = []
        with OmnipipeClient(url, **(options or {})) as client:
            for event in client.stream(**given):
                found.append(event)
                seen(event)
                if len(found) == take:
                    break
        return found


class _Asyncio:
    def whole(self, url: str, options: dict[str, Any] | None = None, **given: Any) -> GenerateResult:
        async def main() -> GenerateResult:
            async with AsyncOmnipipeClient(url, **(options or {})) as client:
                result: GenerateResult = await client.generate(**given)
                return result

        return asyncio.run(main())

    def events(
        self,
        url: str,
        options: dict[str, Any] | None = None,
        *,
        take: int | None = None,
        seen: Callable[[StreamEvent], None] = lambda _: None,
        **given: Any,
    ) -> list[StreamEvent]:
        async def main() -> list[StreamEvent]:
            found: list[StreamEvent] = []
            async with AsyncOmnipipeClient(url, **(options or {})) as client:
                async for event in client.stream(**given):
                    found.append(event)
                    seen(event)
                    if len(found) == take:
                        break
            return found

        return asyncio.run(main())


BOTH: dict[str, Asks] = {"blocking": _Blocking(), "asyncio": _Asyncio()}
