"""Clients that stream all the time, from the outside of the cluster: what they see while something is changed."""

import asyncio
import json
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

import httpx
from tests.e2e.namespace import eventually

__all__ = ["Load"]

_ANSWER_S = 60.0


class Load:
    """`with Load(url, model)`: streams until the block ends, then the last ones come to their own end."""

    def __init__(self, url: str, model: str, clients: int = 4, words: int = 60) -> None:
        self.url, self.model, self.clients = url, model, clients
        self.prompt = " ".join(f"word{index}" for index in range(words))
        self.complete = 0
        """Streams that came to their end with everything that was asked for."""
        self.failures: list[str] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._all()), name="load")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join(_ANSWER_S + 10)
        assert not self._thread.is_alive(), "a stream has no end"
        if kind is None:
            assert not self.failures, self.failures[:5]

    def goes_on(self, more: int, what: Callable[[], str] | str = "the streams go on") -> None:
        """Waits until so many more streams are complete."""
        aim = self.complete + more
        eventually(lambda: self.complete >= aim or self.failures, what, _ANSWER_S)
        assert not self.failures, self.failures[:5]

    async def _all(self) -> None:
        await asyncio.gather(*(self._one_client(index) for index in range(self.clients)))

    async def _one_client(self, index: int) -> None:
        """Half of them keep their connection for the next request, half make a new one each time."""
        limits = httpx.Limits(max_keepalive_connections=1 if index % 2 else 0)
        async with httpx.AsyncClient(base_url=self.url, timeout=_ANSWER_S, limits=limits) as client:
            while not self._stop.is_set() and len(self.failures) < 20:
                began = time.strftime("%H:%M:%S")
                try:
                    trouble = await self._ask(client)
                except httpx.HTTPError as error:
                    trouble = f"{type(error).__name__}: {error}"
                if trouble:
                    self.failures.append(f"begun {began}, ended {time.strftime('%H:%M:%S')}: {trouble}")
                else:
                    self.complete += 1

    async def _ask(self, client: httpx.AsyncClient) -> str | None:
        """What went wrong."""
        question = {"model": self.model, "stream": True, "messages": [{"role": "user", "content": self.prompt}]}
        async with client.stream("POST", "/v1/chat/completions", json=question) as response:
            if response.status_code != 200:
                return f"{response.status_code}: {(await response.aread())[:300]!r}"
            said, done = [], False
            async for line in response.aiter_lines():
                if not line.startswith("data: "):
                    continue
                if line == "data: [DONE]":
                    done = True
                    continue
                chunk = json.loads(line.removeprefix("data: "))
                if "error" in chunk:
                    return f"error in the stream: {chunk['error']}"
                said += [choice["delta"].get("content") or "" for choice in chunk["choices"]]
        if not done or "".join(said) != self.prompt:
            return f"cut after {len(''.join(said))} of {len(self.prompt)} characters, done: {done}"
        return None
