"""HEAD, by which load balancers and watchers look: the head that GET has, and no body after it."""

import json

import pytest
from tests.integration.gateway.serving import fake_served, serving
from tests.integration.gateway.wire import connected

from omnipipe.gateway.settings import GatewaySettings

_VARIES = {"date", "x-request-id", "content-length"}
"""`/metrics` counts its readers, so that its length varies too."""

PATHS = ["/health", "/livez", "/readyz", "/metrics", "/v1/models", "/v1/models/echo", "/openapi.json", "/openapi.yaml"]


@pytest.mark.parametrize("path", PATHS)
async def test_head_is_get_without_its_body(path: str) -> None:
    served, _ = fake_served()
    async with serving([served]) as running, connected(running) as connection:
        await connection.send(f"HEAD {path} HTTP/1.1\r\nhost: x\r\n\r\n".encode())
        head = (await connection.reader.readuntil(b"\r\n\r\n")).decode().lower()
        # Of this connection the next bytes are the next answer: nothing came after the head.
        await connection.send(f"GET {path} HTTP/1.1\r\nhost: x\r\n\r\n".encode())
        whole = await connection.answer()
    status, *lines = head.strip().split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines)
    assert status.startswith("http/1.1 200")
    assert whole.status == 200
    assert {name: headers[name] for name in headers if name not in _VARIES} == {
        name: value.lower() for name, value in whole.headers.items() if name not in _VARIES
    }
    assert int(headers["content-length"]) > 0
    if path != "/metrics":
        assert headers["content-length"] == whole.headers["content-length"]


async def test_head_of_what_is_not_there_or_not_to_be_had() -> None:
    served, _ = fake_served()
    for path, status in (("/nope", 404), ("/v1/models/nobody", 404), ("/v1/chat/completions", 405)):
        async with serving([served]) as running, connected(running) as connection:
            await connection.send(f"HEAD {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n".encode())
            head, _, body = (await connection.closed()).partition(b"\r\n\r\n")
        assert int(head.split()[1]) == status
        assert body == b""


async def test_the_document_has_no_more_operations_for_it() -> None:
    served, _ = fake_served()
    async with serving([served], GatewaySettings(port=0)) as running, connected(running) as connection:
        await connection.send(b"GET /openapi.json HTTP/1.1\r\nhost: x\r\n\r\n")
        document = json.loads((await connection.answer()).body)
    assert not [path for path, operations in document["paths"].items() if "head" in operations]
