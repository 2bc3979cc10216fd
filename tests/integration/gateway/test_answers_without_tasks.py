"""Whole answers, which the gateway gives without a task of the request's own: in turn, in parts, in trouble."""

import asyncio
import json

import pytest
from tests.integration.gateway.serving import DEADLINE_S, eventually, fake_served, sample, serving
from tests.integration.gateway.wire import connected, post

from omnipipe.coordinator.fake import Script, text_script
from omnipipe.coordinator.flight import OmniRequest, Piece
from omnipipe.errors import ErrorKind, RequestError
from omnipipe.gateway.settings import GatewaySettings
from omnipipe.observe.metrics import Registry

PATH = "/v1/chat/completions"


def chat(text: str = "x", **fields: object) -> bytes:
    return post(json.dumps({"model": "echo", "messages": [{"role": "user", "content": text}], **fields}).encode())


def said(body: bytes) -> str:
    content: str = json.loads(body)["choices"][0]["message"]["content"]
    return content


def echoed(request: OmniRequest) -> Script:
    return text_script([request.value["text"]])


def in_flight(registry: Registry) -> float:
    return sample(registry, f'omnipipe_gateway_in_flight{{model="echo",route="{PATH}"}}')


def refused(registry: Registry) -> float:
    return sample(registry, f'omnipipe_gateway_requests_total{{model="echo",outcome="refused",route="{PATH}"}}')


async def test_requests_sent_together_are_answered_in_their_order() -> None:
    served, fake = fake_served(echoed)
    async with serving([served]) as running, connected(running) as connection:
        await connection.send(chat("one") + chat("two") + chat("three"))
        assert [said((await connection.answer()).body) for _ in range(3)] == ["one", "two", "three"]
        await eventually(lambda: in_flight(running.registry) == 0, "all have ended")
    assert [flight.end for flight in fake.flights] == ["result"] * 3


async def test_a_request_that_comes_during_another_waits_for_its_turn() -> None:
    gate = asyncio.Event()

    def script(request: OmniRequest) -> Script:
        return [gate, *echoed(request)] if request.value["text"] == "one" else echoed(request)

    served, fake = fake_served(script)
    async with serving([served]) as running, connected(running) as connection:
        await connection.send(chat("one"))
        await eventually(lambda: fake.flights, "the first is on its way")
        await connection.send(chat("two"))
        gate.set()
        assert [said((await connection.answer()).body) for _ in range(2)] == ["one", "two"]


@pytest.mark.parametrize("cut", [1, 40, -1])
async def test_a_request_in_two_parts_is_answered_as_one(cut: int) -> None:
    served, _ = fake_served(echoed)
    async with serving([served]) as running, connected(running) as connection:
        whole = chat("one")
        await connection.send(whole[:cut])
        await connection.send(whole[cut:])
        assert said((await connection.answer()).body) == "one"


async def test_an_answer_that_a_client_does_not_take_waits_for_it() -> None:
    large = "x" * (16 << 20)
    served, fake = fake_served([Piece("text", large, False, None), *text_script([])])
    async with serving([served]) as running, connected(running) as connection:
        for count in (1, 2):
            await connection.send(chat())
            await eventually(lambda: len(fake.flights) == count, "it is on its way")  # noqa: B023  # waited for here
        for _ in range(2):
            assert said((await connection.answer()).body) == large
        await eventually(lambda: in_flight(running.registry) == 0, "both have ended")


async def test_a_pipeline_that_fails_is_told_and_counted() -> None:
    served, fake = fake_served([Piece("text", "a", False, None), RequestError(ErrorKind.UNAVAILABLE, "It died.")])
    async with serving([served]) as running, connected(running) as connection:
        await connection.send(chat())
        answer = await connection.answer()
        assert (answer.status, answer.error["message"]) == (503, "It died.")
        fake.refuse = RequestError(ErrorKind.OVERLOADED, "Too many.", retry_after_s=7)
        await connection.send(chat())
        answer = await connection.answer()
        assert (answer.status, answer.headers["retry-after"]) == (429, "7")
        await eventually(lambda: refused(running.registry) == 2, "they are counted")
        assert in_flight(running.registry) == 0


async def test_a_stage_that_answers_with_nonsense_fails_its_request_alone() -> None:
    def script(request: OmniRequest) -> Script:
        return [Piece("text", 7, True, None)] if request.value["text"] == "odd" else echoed(request)

    served, _ = fake_served(script)
    async with serving([served]) as running, connected(running) as connection:
        await connection.send(chat("odd"))
        answer = await connection.answer()
        assert (answer.status, answer.error["type"]) == (500, "server_error")
        await connection.send(chat("well"))
        assert said((await connection.answer()).body) == "well"


async def test_a_key_is_asked_for_before_anything_is_read() -> None:
    served, fake = fake_served(echoed)
    async with serving([served], GatewaySettings(api_keys=("secret",))) as running, connected(running) as connection:
        await connection.send(chat())
        answer = await connection.answer()
        assert (answer.status, answer.headers["www-authenticate"]) == (401, "Bearer")
    assert fake.submitted == []


async def test_the_connection_ends_with_its_answer_where_the_client_asks_for_that() -> None:
    served, _ = fake_served(echoed)
    async with serving([served]) as running, connected(running) as connection:
        await connection.send(chat("bye").replace(b"\r\nhost:", b"\r\nconnection: close\r\nhost:", 1))
        async with asyncio.timeout(DEADLINE_S):
            answer = await connection.answer()
            assert (said(answer.body), answer.headers["connection"]) == ("bye", "close")
            assert await connection.closed() == b""
