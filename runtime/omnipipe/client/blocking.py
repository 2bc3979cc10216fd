"""The client for programs without an event loop; threads may share one. Its twin is `asynchronous`; what both can do is
in `surface`."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Self

import httpx

from omnipipe.client.answer import is_healthy, read_models
from omnipipe.client.decoder import read_document
from omnipipe.client.errors import ClientError
from omnipipe.client.limits import TimeLimits
from omnipipe.client.results import AudioBuffer, GenerateResult
from omnipipe.client.setup import MAX_ANSWER_BYTES, Call, Setup, read_setup
from omnipipe.client.streams import GenerateStream
from omnipipe.client.surface import Surface
from omnipipe.client.transfer import Transfer

__all__ = ["OmnipipeClient"]


class OmnipipeClient(Surface[GenerateResult, GenerateStream]):
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
        http_client: httpx.Client | None = None,
    ) -> None:
        self._setup = read_setup(base_url, api_key, timeout, max_retries, headers)
        self._http = http_client or httpx.Client()
        self._owns_http = http_client is None

    def generate_image(self, prompt: str, **options: Any) -> bytes:
        """The picture's bytes. Raises OutputMissing when there is none."""
        result: GenerateResult = self.generate(text=prompt, output_modalities=("image",), stream=False, **options)
        return result.first_image()

    def tts(self, text: str, *, voice: str | None = None, **options: Any) -> AudioBuffer:
        """The text, spoken. Raises OutputMissing when there is no sound."""
        result: GenerateResult = self.generate(
            text=text, output_modalities=("audio",), stream=False, voice=voice, **options
        )
        return result.sound()

    def health(self) -> bool:
        """Whether the server says that all of it is well; False, too, when it cannot be asked."""
        try:
            return is_healthy(self._get("/health", self._setup.probe()))
        except ClientError:
            return False

    def ready(self) -> bool:
        """Whether the server takes requests now; False, too, when it cannot be asked."""
        try:
            self._get("/readyz", self._setup.probe())
        except ClientError:
            return False
        return True

    def models(self) -> list[str]:
        """What `model` can be."""
        return read_models(self._get("/v1/models", self._setup))

    def close(self) -> None:
        if self._owns_http:
            self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _whole(self, make: Callable[[], Call], *, reads: bool) -> GenerateResult:
        transfer = Transfer.open(self._http, self._setup, make())
        return read_document(transfer.whole(MAX_ANSWER_BYTES), transfer.request_id)

    def _streamed(self, make: Callable[[], Call], *, reads: bool) -> GenerateStream:
        return GenerateStream(partial(Transfer.open, self._http, self._setup, make()))

    def _get(self, path: str, setup: Setup) -> bytes:
        transfer = Transfer.open(self._http, setup, Call("GET", path))
        return transfer.whole(MAX_ANSWER_BYTES)
