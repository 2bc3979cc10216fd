"""Clients that leave, read slowly or not at all: their work is freed, and only theirs."""

import asyncio
import json
import socket

import pytest
from tests.integration.gateway.serving import DEADLINE_S, eventually, fake_served, sample, serving
from tests.integration.gateway.wire import connected, post

from omnipipe.coordinator.fake import Script, text_script
from omnipipe.coordinator.flight import OmniRequest, Piece
from omnipipe.gateway.app import create_app
from omnipipe.gateway.exchange import Message
from omnipipe.gateway.settings import GatewaySettings
from omnipipe.observe.metrics import Registry


def chat(**fields: object) -> bytes:
    return post(json.dumps({"model": "echo", "messages": [{"role": "user", "content": "x"}], **fields}).encode())


@pytest.mark.parametrize("stream", [False, True])
async def test_a_client_that_leaves_while_waiting_frees_its_work(stream: bool) -> None:
    served, fake = fake_served([60.0])
    async with serving([served]) as running:
        async with connected(running) as connection:
            await connection.send(chat(stream=stream))
            await eventually(lambda: fake.flights, "the request is on its way")
        await eventually(lambda: fake.flights[0].end == "closed", "the request is freed")


async def test_a_client_that_leaves_in_mid_stream_frees_its_work() -> None:
    served, fake = fake_served([Piece("text", "first", False, None), 60.0])
    async with serving([served]) as running:
        async with connected(running) as connection:
            await connection.send(chat(stream=True))
            await connection.reader.readuntil(b"first")
        await eventually(lambda: fake.flights[0].end == "closed", "the request is freed")


async def test_a_client_that_leaves_before_admission_is_not_admitted() -> None:
    served, fake = fake_served([60.0], admit_delay_s=60.0)
    async with serving([served]) as running:
        async with connected(running) as connection:
            await connection.send(chat())
            await eventually(lambda: fake.submitted, "the request waits for admission")
        await eventually(lambda: _left(running.registry) == 1, "the departure is noticed")
    assert fake.flights == []


async def test_a_client_that_leaves_after_a_large_body_is_noticed_too() -> None:
    served, fake = fake_served([60.0])
    async with serving([served]) as running:
        async with connected(running) as connection:
            await connection.send(chat(user="x" * 1_000_000))
            await eventually(lambda: fake.flights, "the request is on its way")
        await eventually(lambda: fake.flights[0].end == "closed", "the request is freed")


async def test_a_client_that_leaves_is_noticed_under_any_asgi_server() -> None:
    """Without what our own server says of connections, `receive` has to tell."""
    served, fake = fake_served([60.0])
    app = create_app([served], GatewaySettings(access_log=False))
    body = json.dumps({"model": "echo", "messages": [{"role": "user", "content": "x"}]}).encode()
    left = asyncio.Event()
    messages = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> Message:
        if messages:
            return messages.pop()
        await left.wait()
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        raise AssertionError("nobody is there to be sent to")

    scope = {"type": "http", "method": "POST", "path": "/v1/chat/completions", "headers": []}
    async with asyncio.timeout(DEADLINE_S), asyncio.TaskGroup() as group:
        group.create_task(app(scope, receive, send))  # type: ignore[arg-type]  # an ASGI app is a coroutine function
        await eventually(lambda: fake.flights, "the request is on its way")
        left.set()
    assert fake.flights[0].end == "closed"


async def test_all_choices_of_a_client_that_leaves_are_freed() -> None:
    served, fake = fake_served([60.0])
    body = json.dumps({"model": "echo", "prompt": ["a", "b", "c"], "stream": True}).encode()
    async with serving([served]) as running:
        async with connected(running) as connection:
            await connection.send(post(body, "/v1/completions"))
            await eventually(lambda: len(fake.flights) == 3, "all choices are on their way")
        await eventually(lambda: all(flight.end == "closed" for flight in fake.flights), "all are freed")


async def test_a_departure_is_counted_and_is_no_error() -> None:
    served, fake = fake_served([60.0])
    async with serving([served]) as running:
        async with connected(running) as connection:
            await connection.send(chat())
            await eventually(lambda: fake.flights, "the request is on its way")
        await eventually(lambda: _left(running.registry) == 1, "the departure is counted")


def _left(registry: Registry) -> float:
    labels = 'model="echo",outcome="client_left",route="/v1/chat/completions"'
    return sample(registry, f"omnipipe_gateway_requests_total{{{labels}}}")


async def test_a_slow_reader_pauses_its_own_request_and_nobody_elses() -> None:
    def script(request: OmniRequest) -> Script:
        if request.value["text"] == "long":
            return [Piece("text", "x" * 10_000, False, None) for _ in range(5_000)]
        return text_script(["quick"])

    served, fake = fake_served(script)
    async with serving([served], GatewaySettings(port=0, access_log=False)) as running:
        with socket.socket() as slow:
            slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            slow.connect(("127.0.0.1", running.port))
            slow.sendall(chat(stream=True, messages=[{"role": "user", "content": "long"}]))
            await eventually(lambda: fake.flights and fake.flights[0].taken, "the stream has begun")

            async def settled() -> int:
                """When it has stood still for a second."""
                taken, still = -1, 0
                while still < 5:
                    still = still + 1 if taken == len(fake.flights[0].taken) else 0
                    taken = len(fake.flights[0].taken)
                    await asyncio.sleep(0.2)
                return taken

            taken = await settled()
            assert fake.flights[0].end is None
            # 50 MB were there for the taking; socket buffers and uvicorn's own hold some megabytes at most.
            assert taken * 10_000 < 10_000_000

            async with running.openai() as client:
                answer = await client.chat.completions.create(
                    model="echo", messages=[{"role": "user", "content": "hi"}]
                )
                assert answer.choices[0].message.content == "quick"
            assert len(fake.flights[0].taken) == taken
        await eventually(lambda: fake.flights[0].end == "closed", "the slow reader's request is freed")


@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="TCP_USER_TIMEOUT is Linux's")
async def test_a_reader_that_never_reads_is_cut_off() -> None:
    served, fake = fake_served([Piece("text", "x" * 10_000, False, None) for _ in range(5_000)])
    settings = GatewaySettings(port=0, access_log=False, send_timeout_s=0.5)
    async with serving([served], settings) as running:
        with socket.socket() as stuck:
            stuck.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            stuck.connect(("127.0.0.1", running.port))
            stuck.sendall(chat(stream=True))
            await eventually(lambda: fake.flights and fake.flights[0].end == "closed", "the stuck reader is cut off")
