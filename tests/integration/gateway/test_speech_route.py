"""POST /v1/audio/speech through the official SDK and by hand: files, streams, events, long texts, and what breaks."""

import asyncio
import base64
import io
import json
import wave
from typing import Any

import httpx
import openai
import pytest
from tests.integration.gateway.serving import DEADLINE_S, Running, eventually, fake_served, sample, serving
from tests.integration.gateway.spoken import PIECE, RATE, SpokenRequests, pcm_of, seconds_of, spoken_script

from omnipipe.coordinator.fake import FakeCoordinator, Script
from omnipipe.coordinator.flight import OmniRequest, Piece
from omnipipe.errors import ErrorKind, RequestError
from omnipipe.gateway.served import Served

TEXT = "hello there my friend"
LONG = "First part is here. Second part is here. Third part is here."
PARTS = ["First part is here.", "Second part is here.", "Third part is here."]
SECONDS = len(TEXT.split()) * PIECE / RATE


def speaking(script: Any = spoken_script) -> tuple[Served, FakeCoordinator]:
    return fake_served(script, "echo", requests=SpokenRequests())


def client_of(running: Running) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=running.url, timeout=DEADLINE_S)


def events_of(text: str) -> list[Any]:
    frames = [frame.removeprefix("data: ") for frame in text.split("\n\n") if frame]
    return [frame if frame == "[DONE]" else json.loads(frame) for frame in frames]


@pytest.mark.parametrize(
    ("format", "kind"),
    [
        ("mp3", "audio/mpeg"),
        ("wav", "audio/wav"),
        ("flac", "audio/flac"),
        ("opus", "audio/ogg"),
        ("aac", "audio/aac"),
        ("pcm", "audio/pcm"),
    ],
)
async def test_every_format_is_a_file_of_the_right_length(format: Any, kind: str) -> None:
    served, _ = speaking()
    async with serving([served]) as running, running.openai() as client:
        answer = await client.audio.speech.create(model="echo", input=TEXT, voice="alloy", response_format=format)
        data = answer.content
        assert answer.response.headers["content-type"] == kind
        assert answer.response.headers["x-request-id"]
        if format == "pcm":
            assert data == pcm_of(TEXT)
            assert answer.response.headers["x-sample-rate"] == str(RATE)
        else:
            assert seconds_of(data) == pytest.approx(SECONDS, abs=0.05)


async def test_speed_changes_how_long_it_is() -> None:
    served, _ = speaking()
    async with serving([served]) as running, running.openai() as client:
        answer = await client.audio.speech.create(
            model="echo", input=TEXT, voice="alloy", response_format="wav", speed=2.0
        )
    assert seconds_of(answer.content) == pytest.approx(SECONDS / 2, abs=0.05)


@pytest.mark.parametrize("format", ["pcm", "wav", "mp3", "flac"])
async def test_the_first_bytes_come_before_the_last_are_made(format: Any) -> None:
    rest = asyncio.Event()
    sound = pcm_of(TEXT)
    script: Script = [Piece("audio", sound, False, None), rest, Piece("audio", sound, True, {})]
    served, _ = speaking(script)
    async with serving([served]) as running, running.openai() as client:
        request = {"model": "echo", "input": TEXT, "voice": "alloy", "response_format": format}
        async with client.audio.speech.with_streaming_response.create(**request) as answer:
            pieces = answer.iter_bytes()
            data = await anext(pieces)
            assert data
            assert not rest.is_set()
            rest.set()
            async for piece in pieces:
                data += piece
        if format == "pcm":
            assert data == sound * 2
        else:
            assert seconds_of(data) == pytest.approx(2 * SECONDS, abs=0.05)
        assert (
            sample(running.registry, 'omnipipe_gateway_time_to_first_audio_seconds_count{route="/v1/audio/speech"}')
            == 1
        )


async def test_an_answer_in_one_go_says_how_long_it_is_and_how_it_ended() -> None:
    served, _ = speaking()
    async with serving([served]) as running, client_of(running) as client:
        answer = await client.post("/v1/audio/speech", json={"input": TEXT, "response_format": "wav", "stream": False})
    with wave.open(io.BytesIO(answer.content)) as file:
        assert file.readframes(file.getnframes()) == pcm_of(TEXT)
    assert int(answer.headers["content-length"]) == len(answer.content)
    told = {name: answer.headers[f"x-{name}"] for name in ("finish-reason", "prompt-tokens", "completion-tokens")}
    assert told == {"finish-reason": "stop", "prompt-tokens": "4", "completion-tokens": "4"}


async def test_openais_events_add_up_to_the_file() -> None:
    served, _ = speaking()
    async with serving([served]) as running, running.openai() as client:
        request = {"model": "echo", "input": TEXT, "voice": "alloy", "stream_format": "sse", "response_format": "mp3"}
        answer = await client.audio.speech.create(**request)  # type: ignore[arg-type]
        assert answer.response.headers["content-type"].startswith("text/event-stream")
        *deltas, done = events_of(answer.text)
    assert {delta["type"] for delta in deltas} == {"speech.audio.delta"}
    data = b"".join(base64.b64decode(delta["audio"]) for delta in deltas)
    assert seconds_of(data) == pytest.approx(SECONDS, abs=0.05)
    usage = {"input_tokens": 4, "output_tokens": 4, "total_tokens": 8}
    assert done == {"type": "speech.audio.done", "usage": usage, "finish_reason": "stop"}


async def test_chunks_of_a_wav_are_files_and_those_of_pcm_are_not() -> None:
    served, _ = speaking()
    async with serving([served]) as running, client_of(running) as client:
        answer = await client.post("/v1/audio/speech", json={"input": TEXT, "stream": True, "request_id": "me"})
        *chunks, last, end = events_of(answer.text)
        assert end == "[DONE]"
        assert {chunk["id"] for chunk in (*chunks, last)} == {"speech-me"}
        assert [chunk["index"] for chunk in (*chunks, last)] == list(range(len(chunks) + 1))
        sound = b""
        for chunk in chunks:
            assert {**chunk["audio"], "data": ""} == {
                "data": "", "format": "wav", "mime_type": "audio/wav", "sample_rate": RATE,
            }  # fmt: skip
            with wave.open(io.BytesIO(base64.b64decode(chunk["audio"]["data"]))) as file:
                sound += file.readframes(file.getnframes())
        assert sound == pcm_of(TEXT)
        assert (last["audio"], last["finish_reason"], last["usage"]["total_tokens"]) == (None, "stop", 8)

        body = {"input": TEXT, "stream": True, "response_format": "pcm"}
        *chunks, _, _ = events_of((await client.post("/v1/audio/speech", json=body)).text)
        assert b"".join(base64.b64decode(chunk["audio"]["data"]) for chunk in chunks) == pcm_of(TEXT)

        answer = await client.post("/v1/audio/speech", json={**body, "stream_format": "audio"})
        assert (answer.headers["content-type"], answer.content) == ("audio/pcm", pcm_of(TEXT))


@pytest.mark.parametrize("stream", [None, False])
async def test_a_long_text_is_spoken_part_by_part_in_order(stream: bool | None) -> None:
    served, fake = speaking()
    async with serving([served]) as running, client_of(running) as client:
        body = {"input": LONG, "response_format": "pcm", "stream": stream, "request_id": "me", "timeout": 60}
        answer = await client.post("/v1/audio/speech", json=body)
    assert answer.content == b"".join(map(pcm_of, PARTS))
    assert [request.value["text"] for request in fake.submitted] == PARTS
    assert [request.request_id for request in fake.submitted] == ["me", "me.1", "me.2"]
    assert [flight.end for flight in fake.flights] == ["result"] * 3
    limits = [request.timeout_s or 0 for request in fake.submitted]
    assert limits[0] == 60 > limits[1] >= limits[2] > 50


async def test_the_next_part_is_being_made_while_one_is_heard() -> None:
    gate = asyncio.Event()

    def script(request: OmniRequest) -> Script:
        first, *others = spoken_script(request)
        return [first, gate, *others] if request.value["text"] == PARTS[0] else [first, *others]

    served, fake = speaking(script)
    async with serving([served]) as running, client_of(running) as client:
        body = {"input": LONG, "response_format": "pcm"}
        async with client.stream("POST", "/v1/audio/speech", json=body) as answer:
            pieces = answer.aiter_bytes()
            data = await anext(pieces)
            await eventually(lambda: len(fake.submitted) == 2, "the second part is begun")
            assert fake.flights[1].taken == []
            gate.set()
            async for piece in pieces:
                data += piece
    assert data == b"".join(map(pcm_of, PARTS))


async def test_a_later_part_waits_for_its_turn() -> None:
    def script(request: OmniRequest) -> Script:
        if request.value["text"] == PARTS[0]:
            fake.refuse = RequestError(ErrorKind.OVERLOADED, "full", retry_after_s=0.01)
        return spoken_script(request)

    served, fake = speaking(script)
    async with serving([served]) as running, client_of(running) as client:
        body = {"input": LONG, "response_format": "pcm"}
        async with client.stream("POST", "/v1/audio/speech", json=body) as answer:
            await eventually(lambda: len(fake.submitted) > 3, "the second part asks again")
            fake.refuse = None
            assert await answer.aread() == b"".join(map(pcm_of, PARTS))
    assert len(fake.flights) == 3


@pytest.mark.parametrize("body", [{}, {"stream_format": "sse"}, {"stream": True}, {"stream": False}])
async def test_what_fails_before_the_first_byte_has_its_own_status(body: dict[str, Any]) -> None:
    served, _ = speaking([RequestError(ErrorKind.OVERLOADED, "told to", retry_after_s=2)])
    async with serving([served]) as running, client_of(running) as client:
        answer = await client.post("/v1/audio/speech", json={"input": TEXT, **body})
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "2")
    assert answer.json()["error"]["message"] == "told to"


async def test_a_file_that_breaks_off_is_not_taken_for_a_whole_one() -> None:
    broken: Script = [Piece("audio", pcm_of(TEXT), False, None), RequestError(ErrorKind.INTERNAL, "broke")]
    served, _ = speaking(broken)
    async with serving([served]) as running, client_of(running) as client:
        data = b""
        with pytest.raises(httpx.RemoteProtocolError):
            async with client.stream(
                "POST", "/v1/audio/speech", json={"input": TEXT, "response_format": "pcm"}
            ) as answer:
                async for piece in answer.aiter_bytes():
                    data += piece
        assert data == pcm_of(TEXT)
        events = await client.post("/v1/audio/speech", json={"input": TEXT, "stream_format": "sse"})
        *_, error = events_of(events.text)
        assert error["error"]["message"] == "broke"
        assert "speech.audio.done" not in events.text
        series = 'omnipipe_gateway_requests_total{route="/v1/audio/speech",outcome="server_error"}'
        await eventually(lambda: sample(running.registry, series) == 2, "both are counted")
        healthy = await client.get("/health")
        assert healthy.status_code == 200


async def test_a_part_that_fails_ends_all_of_it() -> None:
    def script(request: OmniRequest) -> Script:
        if request.value["text"] == PARTS[1]:
            return [RequestError(ErrorKind.INTERNAL, "broke")]
        return spoken_script(request)

    served, fake = speaking(script)
    async with serving([served]) as running, client_of(running) as client:
        answer = await client.post("/v1/audio/speech", json={"input": LONG, "stream": False})
        assert answer.status_code == 500
        with pytest.raises(httpx.RemoteProtocolError):
            await client.post("/v1/audio/speech", json={"input": LONG, "response_format": "pcm"})
        await eventually(lambda: all(flight.end for flight in fake.flights), "every part has ended")


@pytest.mark.parametrize("body", [{}, {"stream": False}, {"stream_format": "sse"}])
async def test_a_listener_who_leaves_frees_all_parts(body: dict[str, Any]) -> None:
    def script(request: OmniRequest) -> Script:
        return [*spoken_script(request)[:2], 60.0]

    served, fake = speaking(script)
    async with serving([served]) as running, running.openai() as sdk, client_of(running) as client:
        assert sdk is not None
        asking = asyncio.create_task(
            client.post("/v1/audio/speech", json={"input": LONG, "response_format": "pcm", **body})
        )
        wanted = 1 if body.get("stream") is False else 2
        await eventually(lambda: len(fake.flights) >= wanted, "the parts have begun")
        asking.cancel()
        await eventually(lambda: all(flight.end == "closed" for flight in fake.flights), "they are freed")


async def test_the_sdk_raises_its_own_errors() -> None:
    served, _ = speaking()
    async with serving([served]) as running, running.openai() as client:
        with pytest.raises(openai.BadRequestError) as caught:
            await client.audio.speech.create(model="echo", input=TEXT, voice="nobody")
        assert caught.value.param == "voice"
        with pytest.raises(openai.NotFoundError):
            await client.audio.speech.create(model="nobody", input=TEXT, voice="alloy")
        with pytest.raises(openai.BadRequestError) as caught:
            await client.audio.speech.create(model="echo", input=TEXT, voice="alloy", extra_body={"language": "x"})
        assert caught.value.param == "language"


@pytest.mark.parametrize("format", ["wav", "mp3", "flac", "opus", "aac"])
async def test_a_spoken_chat_comes_in_every_format(format: Any) -> None:
    served, _ = speaking()
    async with serving([served]) as running, running.openai() as client:
        answer = await client.chat.completions.create(
            model="echo",
            messages=[{"role": "user", "content": TEXT}],
            modalities=["text", "audio"],
            audio={"voice": "alloy", "format": format},
        )
    audio = answer.choices[0].message.audio
    assert audio is not None
    assert audio.transcript.strip() == TEXT
    assert seconds_of(base64.b64decode(audio.data)) == pytest.approx(SECONDS, abs=0.05)
