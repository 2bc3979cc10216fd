"""The client for asyncio. Its twin is `blocking`; what both can do is in `surface`."""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from functools import partial
from typing import Any, Self

import httpx

from omnipipe.client.answer import is_healthy, read_models
from omnipipe.client.async_transfer import AsyncTransfer
from omnipipe.client.decoder import read_document
from omnipipe.client.errors import ClientError
from omnipipe.client.limits import TimeLimits
from omnipipe.client.results import AudioBuffer, GenerateResult
from omnipipe.client.setup import MAX_ANSWER_BYTES, Call, Setup, read_setup
from omnipipe.client.streams import AsyncGenerateStream
from omnipipe.client.surface import Surface

__all__ = ["AsyncOmnipipeClient"]


class AsyncOmnipipeClient(Surface[Coroutine[Any, Any, GenerateResult], AsyncGenerateStream]):
    """A server's models.

    `api_key`: left out, the environment's OMNIPIPE_API_KEY. `timeout`: seconds for a whole call, or `TimeLimits`.
    `max_retries`: further tries for what the server has not begun with. `http_client`: one of your own, for proxies,
    certificates or transports; it stays open when this client is closed.
    """

    def __init__(
        self,
        base_url: str = "http://localhost:8000",
        *,
        api_key: str | None = None,
        timeout: float | TimeLimits | None = 600.0,
        max_retries: int = 2,
        headers: Mapping[str, str] | None = None,
        http_client: httpx.AsyncClient | None = None,
    ) -> None:
        self._setup = read_setup(base_url, api_key, timeout, max_retries, headers)
        self._http = http_client or httpx.AsyncClient()
        self._owns_http = http_client is None

    async def generate_image(self, prompt: str, **options: Any) -> bytes:
        """The picture's bytes. Raises OutputMissing when there is none."""
        result: GenerateResult = await self.generate(text=prompt, output_modalities=("image",), stream=False, **options)
        return result.first_image()

    async def tts(self, text: str, *, voice: str | None = None, **options: Any) -> AudioBuffer:
        """The text, spoken. Raises OutputMissing when there is no sound."""
        result: GenerateResult = await self.generate(
            text=text, output_modalities=("audio",), stream=False, voice=voice, **options
        )
        return result.sound()

    async def health(self) -> bool:
        """Whether the server says that all of it is well; False, too, when it cannot be asked."""
        try:
            return is_healthy(await self._get("/health", self._setup.probe()))
        except ClientError:
            return False

    async def ready(self) -> bool:
        """Whether the server takes requests now; False, too, when it cannot be asked."""
        try:
            await self._get("/readyz", self._setup.probe())
        except ClientError:
            return False
        return True

    async def models(self) -> list[str]:
        """What `model` can be."""
        return read_models(await self._get("/v1/models", self._setup))

    async def close(self) -> None:
        if self._owns_http:
            await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def _whole(self, make: Callable[[], Call], *, reads: bool) -> GenerateResult:
        transfer = await self._open(make, reads=reads)
        return read_document(await transfer.whole(MAX_ANSWER_BYTES), transfer.request_id)

    def _streamed(self, make: Callable[[], Call], *, reads: bool) -> AsyncGenerateStream:
        return AsyncGenerateStream(partial(self._open, make, reads=reads))

    async def _open(self, make: Callable[[], Call], *, reads: bool) -> AsyncTransfer:
        call = await asyncio.to_thread(make) if reads else make()
        return await AsyncTransfer.open(self._http, self._setup, call)

    async def _get(self, path: str, setup: Setup) -> bytes:
        transfer = await AsyncTransfer.open(self._http, setup, Call("GET", path))
        return await transfer.whole(MAX_ANSWER_BYTES)
