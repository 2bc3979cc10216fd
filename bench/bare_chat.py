"""The baseline of P2: a bare ASGI app under the same server that parses the body and sends a ready-made answer."""

import sys
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import msgspec
import uvicorn
import uvloop

Message = MutableMapping[str, Any]

_BODY = msgspec.json.encode(
    {
        "id": "chatcmpl-000000000000000000000000",
        "object": "chat.completion",
        "created": 1700000000,
        "model": "echo",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "say this again please", "refusal": None},
                "logprobs": None,
                "finish_reason": "stop",
            }
        ],
        "usage": {"prompt_tokens": 7, "completion_tokens": 4, "total_tokens": 11},
    }
)
_HEAD = {
    "type": "http.response.start",
    "status": 200,
    "headers": [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(_BODY))],
}


async def bare(
    scope: Message, receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]
) -> None:
    body = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body"):
            break
    if body:
        msgspec.json.decode(body)
    await send(_HEAD)
    await send({"type": "http.response.body", "body": _BODY})


if __name__ == "__main__":
    config = uvicorn.Config(bare, "127.0.0.1", int(sys.argv[1]), lifespan="off", log_level="error", access_log=False)
    uvloop.run(uvicorn.Server(config).serve())
