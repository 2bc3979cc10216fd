"""The official Python SDK against the gateway: it completes, streams, lists, and raises its own typed errors."""

import base64
from collections.abc import Sequence

import openai
import pytest
from openai.types.chat import ChatCompletionUserMessageParam
from tests.integration.gateway.serving import fake_served, serving

from omnipipe.coordinator.fake import Script, text_script
from omnipipe.coordinator.flight import OmniRequest, Piece
from omnipipe.errors import ErrorKind, RequestError
from omnipipe.gateway.settings import GatewaySettings

HELLO: Sequence[ChatCompletionUserMessageParam] = [{"role": "user", "content": "hello"}]
WORDS = ["Hello ", "wörld", "\n", '"!"']


def spoken(request: OmniRequest) -> list[Piece]:
    text = Piece("text", "Hi", True, {"finish_reason": "stop"})
    sound = [Piece("audio", b"\1\0\2\0", False, None), Piece("audio", b"\3\0", True, {})]
    return [text, *sound] if "audio" in request.outputs else [text]


async def test_chats_complete_and_stream() -> None:
    served, fake = fake_served(text_script(WORDS))
    async with serving([served]) as running, running.openai() as client:
        answer = await client.chat.completions.create(model="echo", messages=HELLO)
        assert answer.choices[0].message.content == "".join(WORDS)
        assert answer.choices[0].finish_reason == "stop"
        assert answer.usage is not None
        assert answer.usage.total_tokens == 2 * len(WORDS)

        stream = await client.chat.completions.create(
            model="echo", messages=HELLO, stream=True, stream_options={"include_usage": True}
        )
        chunks = [chunk async for chunk in stream]
        assert [c.delta.content for chunk in chunks for c in chunk.choices] == ["", *WORDS, None]
        assert chunks[-1].usage is not None
        assert chunks[-1].usage.completion_tokens == len(WORDS)
        assert {chunk.id for chunk in chunks} == {chunks[0].id}
    assert [flight.end for flight in fake.flights] == ["result", "result"]


async def test_the_sdks_own_stream_helper_adds_the_frames_up() -> None:
    served, _ = fake_served(text_script(WORDS))
    async with (
        serving([served]) as running,
        running.openai() as client,
        client.chat.completions.stream(model="echo", messages=HELLO) as stream,
    ):
        final = await stream.get_final_completion()
    assert final.choices[0].message.content == "".join(WORDS)


async def test_completions_complete_and_stream_several_prompts() -> None:
    served, _ = fake_served(lambda request: text_script([request.value["text"], "!"]))
    async with serving([served]) as running, running.openai() as client:
        answer = await client.completions.create(model="echo", prompt=["a", "b"], echo=True)
        assert [(choice.index, choice.text) for choice in answer.choices] == [(0, "aa!"), (1, "bb!")]

        texts = {0: "", 1: ""}
        async for chunk in await client.completions.create(model="echo", prompt=["a", "b"], stream=True):
            for choice in chunk.choices:
                texts[choice.index] += choice.text
        assert texts == {0: "a!", 1: "b!"}


async def test_speech_comes_whole_and_in_pieces() -> None:
    served, _ = fake_served(spoken)
    async with serving([served]) as running, running.openai() as client:
        answer = await client.chat.completions.create(
            model="echo", messages=HELLO, modalities=["text", "audio"], audio={"voice": "alloy", "format": "pcm16"}
        )
        audio = answer.choices[0].message.audio
        assert audio is not None
        assert (base64.b64decode(audio.data), audio.transcript) == (b"\1\0\2\0\3\0", "Hi")

        stream = await client.chat.completions.create(
            model="echo",
            messages=HELLO,
            modalities=["text", "audio"],
            audio={"voice": "alloy", "format": "pcm16"},
            stream=True,
        )
        deltas = [chunk.choices[0].delta.audio async for chunk in stream]
        said = [delta for delta in deltas if delta is not None]
        assert b"".join(base64.b64decode(delta.data or "") for delta in said) == b"\1\0\2\0\3\0"
        assert "".join(delta.transcript or "" for delta in said) == "Hi"


async def test_models_are_listed_and_retrieved() -> None:
    served, _ = fake_served((), "echo", "org/echo")
    async with serving([served]) as running, running.openai() as client:
        assert [model.id async for model in client.models.list()] == ["echo", "org/echo"]
        model = await client.models.retrieve("org/echo")
        assert (model.id, model.object, model.owned_by) == ("org/echo", "model", "omnipipe")
        assert model.created > 0
        with pytest.raises(openai.NotFoundError) as caught:
            await client.models.retrieve("gpt-x")
        assert caught.value.code == "model_not_found"


@pytest.mark.parametrize(
    ("kind", "error", "status"),
    [
        (ErrorKind.INVALID, openai.BadRequestError, 400),
        (ErrorKind.UNPROCESSABLE, openai.UnprocessableEntityError, 422),
        (ErrorKind.OVERLOADED, openai.RateLimitError, 429),
        (ErrorKind.INTERNAL, openai.InternalServerError, 500),
        (ErrorKind.UNAVAILABLE, openai.InternalServerError, 503),
        (ErrorKind.DEADLINE, openai.InternalServerError, 504),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("where", ["admission", "stage"])
async def test_what_fails_before_the_first_piece_has_its_own_status(
    kind: ErrorKind, error: type[openai.APIStatusError], status: int, stream: bool, where: str
) -> None:
    wrong = RequestError(kind, "told to", param="p", retry_after_s=3)
    served, fake = fake_served([wrong])
    fake.refuse = wrong if where == "admission" else None
    async with serving([served]) as running, running.openai() as client:
        with pytest.raises(error) as caught:
            await client.chat.completions.create(model="echo", messages=HELLO, stream=stream)
    assert caught.value.status_code == status
    assert caught.value.param == "p"
    assert caught.value.body == {**dict(caught.value.body or {}), "message": "told to"}  # type: ignore[call-overload]
    assert caught.value.request_id
    if status in (429, 503):
        assert caught.value.response.headers["retry-after"] == "3"


async def test_what_fails_later_is_an_error_event_and_no_success() -> None:
    script: Script = [Piece("text", "half", False, None), RequestError(ErrorKind.INTERNAL, "broke")]
    served, _ = fake_served(script)
    async with serving([served]) as running, running.openai() as client:
        stream = await client.chat.completions.create(model="echo", messages=HELLO, stream=True)
        assert [(await anext(stream)).choices[0].delta.content for _ in range(2)] == ["", "half"]
        with pytest.raises(openai.APIError, match="broke"):
            await anext(stream)
        raw = await client.chat.completions.with_raw_response.create(model="echo", messages=HELLO, stream=True)
        text = (await raw.http_response.aread()).decode()
    assert '"type":"server_error"' in text
    assert "[DONE]" not in text
    assert '"finish_reason":"stop"' not in text


async def test_a_choice_that_fails_takes_the_others_with_it() -> None:
    def script(request: OmniRequest) -> Script:
        return [60.0] if request.value["text"] == "slow" else [RequestError(ErrorKind.INTERNAL, "broke")]

    served, fake = fake_served(script)
    async with serving([served]) as running, running.openai() as client:
        with pytest.raises(openai.InternalServerError, match="broke"):
            await client.completions.create(model="echo", prompt=["slow", "bad"])
    assert sorted(flight.end or "" for flight in fake.flights) == ["closed", "error"]


async def test_bodies_that_are_too_large_too_wrong_or_unknown() -> None:
    served, _ = fake_served()
    settings = GatewaySettings(port=0, access_log=False, max_body_bytes=100_000)
    async with serving([served], settings) as running, running.openai() as client:
        with pytest.raises(openai.APIStatusError) as caught:
            await client.chat.completions.create(model="echo", messages=[{"role": "user", "content": "x" * 3_000_000}])
        assert caught.value.status_code == 413
        with pytest.raises(openai.BadRequestError) as bad:
            await client.chat.completions.create(model="echo", messages=HELLO, temperature=0.5)
        assert bad.value.param == "temperature"
        with pytest.raises(openai.NotFoundError) as missing:
            await client.chat.completions.create(model="gpt-x", messages=HELLO)
        assert missing.value.code == "model_not_found"


async def test_keys_are_asked_for_where_they_are_configured() -> None:
    served, _ = fake_served(text_script(["x"]))
    settings = GatewaySettings(port=0, access_log=False, api_keys=("right", "spare"))
    async with serving([served], settings) as running:
        async with running.openai("wrong") as client:
            with pytest.raises(openai.AuthenticationError) as caught:
                await client.chat.completions.create(model="echo", messages=HELLO)
            assert caught.value.code == "invalid_api_key"
            with pytest.raises(openai.AuthenticationError):
                await client.models.list()
        async with running.openai("spare") as client:
            await client.chat.completions.create(model="echo", messages=HELLO)
            assert (await client.models.list()).data
