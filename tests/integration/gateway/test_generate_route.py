"""POST /generate as M*'s clients and Diffulex's ask it: forms and JSON, whole and streamed, and what goes wrong."""

import asyncio
import base64
import json
from collections.abc import Sequence
from typing import Any

import httpx
import pytest
from tests.integration.gateway.rich import RichRequests, rich_script
from tests.integration.gateway.serving import DEADLINE_S, Running, eventually, fake_plan, fake_served, serving
from tests.integration.gateway.spoken import RATE, SpokenRequests, pcm_of, spoken_script
from tests.integration.gateway.wire import connected, post

from omnipipe.coordinator.fake import FakeCoordinator, Script
from omnipipe.coordinator.flight import Piece
from omnipipe.errors import ErrorKind, RequestError
from omnipipe.gateway.media import MediaResolver
from omnipipe.gateway.served import Served
from omnipipe.gateway.settings import GatewaySettings
from omnipipe.spec.plan import MediaPlan

PNG = b"\x89PNG\r\n\x1a\n" + bytes(64)
SOUND = {"sample_rate": RATE, "num_channels": 1}


def speaking(script: Any = spoken_script, name: str = "echo") -> tuple[Served, FakeCoordinator]:
    return fake_served(script, name, requests=SpokenRequests())


def client_of(running: Running) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=running.url, timeout=DEADLINE_S)


def lines_of(answer: httpx.Response) -> list[Any]:
    return [json.loads(line) for line in answer.text.splitlines()]


def said(lines: Sequence[Any], modality: str) -> bytes:
    return b"".join(base64.b64decode(line["data"]) for line in lines if line["modality"] == modality)


async def test_a_form_is_answered_in_lines() -> None:
    served, fake = speaking()
    async with serving([served]) as running, client_of(running) as client:
        answer = await client.post("/generate", data={"text": "hello there", "output_modalities": "text,audio"})
    assert answer.headers["content-type"] == "application/x-ndjson; charset=utf-8"
    lines = lines_of(answer)
    assert {frozenset(line) for line in lines} == {frozenset({"modality", "data", "metadata"})}
    assert said(lines, "text") == b"hello there "
    assert said(lines, "audio") == pcm_of("hello there")
    metadata = {line["modality"]: line["metadata"] for line in lines}
    assert metadata == {"text": {}, "audio": SOUND}
    assert fake.submitted[0].outputs == {"text", "audio"}


async def test_a_form_is_answered_in_one_document() -> None:
    served, fake = speaking()
    async with serving([served]) as running, client_of(running) as client:
        asked = {"text": "hello there", "output_modalities": "audio", "streaming": "false", "request_id": "me"}
        asked["model_kwargs"] = json.dumps({"voice": "cello", "max_output_tokens": 7})
        answer = await client.post("/generate", data=asked)
    (entry,) = answer.json()["outputs"]["audio"]
    assert answer.json() == {"request_id": "me", "outputs": {"audio": [entry]}}
    assert (base64.b64decode(entry["data"]), entry["metadata"]) == (pcm_of("hello there"), SOUND)
    assert answer.headers["x-request-id"] == "me"
    value = fake.submitted[0].value["asked"]
    assert (value["audio"]["voice"], value["options"]) == ("cello", {"max_completion_tokens": 7})


async def test_files_are_what_their_content_says() -> None:
    served, _ = speaking()
    async with serving([served]) as running, client_of(running) as client:
        files = [("files", ("photo.mp4", PNG)), ("files", ("b.png", PNG))]
        answer = await client.post("/generate", data={"text": "look"}, files=files)
        assert said(lines_of(answer), "text") == b"<image of 72> <image of 72> look "
        answer = await client.post("/generate", files=files)
        assert said(lines_of(answer), "text") == b"<image of 72> <image of 72> "
        wav = ("files", ("a.wav", b"RIFF\0\0\0\0WAVEfmt "))
        answer = await client.post("/generate", data={"text": "x"}, files=[files[0], wav])
        assert (answer.status_code, answer.json()["error"]["param"]) == (400, "files[1]")


async def test_a_model_is_named_where_there_are_several() -> None:
    one, asked = speaking(name="one")
    two, other = speaking(name="two")
    async with serving([one, two]) as running, client_of(running) as client:
        answer = await client.post("/generate", data={"text": "x"})
        assert (answer.status_code, answer.json()["error"]["param"]) == (400, "model")
        assert (await client.post("/generate", data={"text": "x", "model": "two"})).status_code == 200
        kwargs = json.dumps({"model": "one"})
        assert (await client.post("/generate", data={"text": "x", "model_kwargs": kwargs})).status_code == 200
    assert (len(asked.submitted), len(other.submitted)) == (1, 1)


@pytest.mark.parametrize(
    ("data", "param"),
    [
        ({"text": "x", "output_modalities": "video"}, "output_modalities"),
        ({"text": "x", "model_kwargs": "nonsense"}, "model_kwargs"),
        ({"text": "x", "model_kwargs": '{"robot_state": []}'}, "model_kwargs.robot_state"),
        ({"text": "x", "request_id": "no spaces, please"}, "request_id"),
        ({"text": "x", "request_id": ""}, "request_id"),
        ({"text": "x", "streaming": "perhaps"}, "streaming"),
        ({"prompt": "x"}, "prompt"),
        ({"text": ""}, "text"),
    ],
)
async def test_what_is_wrong_is_a_400_that_names_it(data: dict[str, str], param: str) -> None:
    served, _ = speaking()
    async with serving([served]) as running, client_of(running) as client:
        answer = await client.post("/generate", data=data)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)


async def test_a_form_that_is_too_large_is_refused_while_it_comes() -> None:
    served, _ = speaking()
    settings = GatewaySettings(port=0, access_log=False, max_body_bytes=100_000)
    async with serving([served], settings) as running, client_of(running) as client:
        answer = await client.post("/generate", files=[("files", ("a.png", PNG + bytes(3_000_000)))])
        assert answer.status_code == 413
        many = [("files", (f"{index}.png", PNG)) for index in range(200)]
        answer = await client.post("/generate", files=many)
        assert (answer.status_code, answer.json()["error"]["param"]) == (400, "files")


async def test_a_form_that_stops_in_the_middle_holds_nothing() -> None:
    served, fake = speaking()
    async with serving([served]) as running, connected(running) as connection:
        body = b'--b\r\ncontent-disposition: form-data; name="text"\r\n\r\nhalf'
        await connection.send(post(body, "/generate", content_type="multipart/form-data; boundary=b"))
        answer = await connection.answer()
        assert (answer.status, answer.error["code"]) == (400, "invalid_form")
    assert fake.submitted == []


async def test_an_error_in_the_stream_is_one_line_and_the_last() -> None:
    script: Script = [Piece("text", "half", False, None), RequestError(ErrorKind.INTERNAL, "broke")]
    served, _ = speaking(script)
    async with serving([served]) as running, client_of(running) as client:
        first, error = lines_of(await client.post("/generate", data={"text": "x"}))
        whole = await client.post("/generate", data={"text": "x", "streaming": "false"})
    assert (first["modality"], said([first], "text")) == ("text", b"half")
    assert (error["modality"], base64.b64decode(error["data"])) == ("error", b"broke")
    assert error["metadata"] == {"status": 500, "type": "server_error", "param": None, "code": "internal_error"}
    assert (whole.status_code, whole.json()["error"]["message"]) == (500, "broke")


async def test_two_running_requests_do_not_share_an_id() -> None:
    gate = asyncio.Event()
    end = Piece("text", "done", True, {"finish_reason": "stop"})
    served, fake = speaking([gate, end])
    async with serving([served]) as running, client_of(running) as client:
        asked = {"text": "x", "request_id": "me", "streaming": "false"}
        first = asyncio.create_task(client.post("/generate", data=asked))
        await eventually(lambda: fake.flights, "the first runs")
        second = await client.post("/generate", data=asked)
        assert (second.status_code, second.json()["error"]["param"]) == (409, "request_id")
        gate.set()
        assert (await first).json()["request_id"] == "me"
        assert (await client.post("/generate", data=asked)).status_code == 200


async def test_a_client_that_leaves_frees_its_request() -> None:
    served, fake = speaking([Piece("text", "half", False, None), 60.0])
    async with serving([served]) as running, client_of(running) as client:
        async with client.stream("POST", "/generate", data={"text": "x"}) as answer:
            await anext(answer.aiter_lines())
        await eventually(lambda: fake.flights[0].end == "closed", "it is freed")


async def test_media_of_a_client_that_leaves_are_fetched_no_longer() -> None:
    begun, ended = asyncio.Event(), asyncio.Event()

    async def fetch(url: str, most: int) -> bytes:
        begun.set()
        try:
            await asyncio.sleep(60)
        finally:
            ended.set()
        return b""

    plan = fake_plan("echo")
    gateway = plan.gateway.model_copy(update={"media": MediaPlan(allowed_hosts=("example.com",))})
    plan = plan.model_copy(update={"gateway": gateway})
    fake = FakeCoordinator(plan)
    served = Served(plan, fake, SpokenRequests(), media=MediaResolver(plan, fetch))
    async with serving([served]) as running, client_of(running) as client:
        content = [{"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}]
        body = {"model": "echo", "messages": [{"role": "user", "content": content}]}
        asking = asyncio.create_task(client.post("/v1/chat/completions", json=body))
        await asyncio.wait_for(begun.wait(), DEADLINE_S)
        asking.cancel()
        await asyncio.wait_for(ended.wait(), DEADLINE_S)
    assert fake.submitted == []


def rich() -> Served:
    return fake_served(rich_script, "rich", outputs=("text",), requests=RichRequests())[0]


async def test_a_prompt_is_answered_in_one_document() -> None:
    async with serving([rich()]) as running, client_of(running) as client:
        answer = (await client.post("/generate", json={"prompt": "x", "request_id": "me"})).json()
        tokens = (await client.post("/generate", json={"prompt": [1, 2], "max_tokens": 4})).json()
    assert answer["engine_decode_time_s"] >= 0
    known = {"id", "text", "token_ids", "nfe", "finish_reason", "full_text", "full_token_ids"}
    assert {name: answer[name] for name in known} == {
        "id": "me",
        "text": "Héllo",
        "token_ids": [1, 1],
        "nfe": None,
        "finish_reason": "stop",
        "full_text": "Héllo",
        "full_token_ids": [1, 1],
    }
    assert answer["engine_decode_tokens"] == 5
    assert tokens["text"] == "Héllo"


async def test_a_prompt_is_answered_in_events() -> None:
    async with serving([rich()]) as running, client_of(running) as client:
        body = {"prompt": "x", "stream": True, "stream_mode": "block_append", "request_id": "me"}
        answer = await client.post("/generate", json=body)
    assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
    *frames, done, rest = answer.text.split("\n\n")
    assert (done, rest) == ("data: [DONE]", "")
    *appends, final = [json.loads(frame.removeprefix("data: ")) for frame in frames]
    assert [(event["event"], event["id"], event["finished"]) for event in appends] == [("append", "me", False)] * 2
    assert [(event["token_offset"], event["text"], event["token_ids"]) for event in appends] == [
        (0, "Hé", [1]),
        (1, "llo", [1]),
    ]
    assert (final["event"], final["text"], final["token_ids"]) == ("final", "Héllo", [1, 1])


async def test_an_error_in_the_events_ends_them() -> None:
    script: Script = [Piece("text", "half", False, None), RequestError(ErrorKind.INTERNAL, "broke")]
    served, _ = fake_served(script)
    async with serving([served]) as running, client_of(running) as client:
        answer = await client.post("/generate", json={"prompt": "x", "stream": True, "request_id": "me"})
        refused = await client.post("/generate", json={"prompt": "x", "stream": True, "stream_mode": "denoise"})
        assert (refused.status_code, refused.json()["error"]["param"]) == (400, "stream_mode")
        assert (await client.post("/generate", content=b"{")).status_code == 400
        assert (await client.get("/generate")).status_code == 405
    first, error = [json.loads(frame.removeprefix("data: ")) for frame in answer.text.split("\n\n") if frame]
    assert (first["text"], first["token_ids"]) == ("half", None)
    assert (error["event"], error["id"], error["message"], error["error"]["type"]) == (
        "error",
        "me",
        "broke",
        "server_error",
    )
