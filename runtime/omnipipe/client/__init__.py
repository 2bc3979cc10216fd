"""The Python SDK: a server's models from a program of yours, blocking or with asyncio.

    with OmnipipeClient("http://localhost:8000") as client:
        print(client.chat("Hello!").text)

It speaks POST /generate, takes every modality in and out, and needs the extra `client` (httpx); torch never, numpy only
for sound as an array. Nothing of the server's is imported but the root of the errors.

`surface` is what can be asked, `blocking` and `asynchronous` are the two clients; `transfer` and its twin move bytes,
all else decides without I/O: `form` and `media` on the way out, `lines`, `pieces`, `assembler` on the way back.
"""

try:
    import httpx as _httpx
except ModuleNotFoundError as error:
    raise ModuleNotFoundError("omnipipe.client needs httpx: pip install 'omnipipe[client]'", name="httpx") from error

from omnipipe.client.asynchronous import AsyncOmnipipeClient
from omnipipe.client.blocking import OmnipipeClient
from omnipipe.client.errors import (
    AuthenticationFailed,
    BadAnswer,
    BadRequest,
    ClientError,
    ConnectionFailed,
    NotFound,
    OutputMissing,
    RateLimited,
    ServerError,
    StatusError,
    StreamBroken,
    Timeout,
)
from omnipipe.client.limits import TimeLimits
from omnipipe.client.results import (
    ActionChunk,
    AudioBuffer,
    AudioChunk,
    GenerateResult,
    ImageChunk,
    RawChunk,
    StreamEvent,
    TextChunk,
    VideoChunk,
)
from omnipipe.client.streams import AsyncGenerateStream, GenerateStream

__all__ = [
    "ActionChunk",
    "AsyncGenerateStream",
    "AsyncOmnipipeClient",
    "AudioBuffer",
    "AudioChunk",
    "AuthenticationFailed",
    "BadAnswer",
    "BadRequest",
    "ClientError",
    "ConnectionFailed",
    "GenerateResult",
    "GenerateStream",
    "ImageChunk",
    "NotFound",
    "OmnipipeClient",
    "OutputMissing",
    "RateLimited",
    "RawChunk",
    "ServerError",
    "StatusError",
    "StreamBroken",
    "StreamEvent",
    "TextChunk",
    "TimeLimits",
    "Timeout",
    "VideoChunk",
]

del _httpx
