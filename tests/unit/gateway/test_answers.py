"""What answers look like, judged by the SDK's own types: whole and streamed, text and sound, one choice and several."""

import asyncio
import base64
import json
import wave
from collections.abc import Sequence
from io import BytesIO
from typing import Any

import msgspec
import numpy as np
import pytest
from openai.types import Completion
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from omnipipe.coordinator.flight import Piece
from omnipipe.gateway.openai.answer import DONE, Answer, WriterT
from omnipipe.gateway.openai.chat_answer import ChatAnswer
from omnipipe.gateway.openai.chat_shapes import ChatCompletionChunk as OurChunk
from omnipipe.gateway.openai.completion_answer import CompletionAnswer, CompletionChunk
from omnipipe.gateway.openai.spoken_answer import AudioWriting, SpokenAnswer
from omnipipe.wire.value import Tensor

RATE = 24_000
META = {"finish_reason": "length", "usage": {"prompt_tokens": 3, "completion_tokens": 2}}


def words(*texts: str) -> list[Piece]:
    pieces = [Piece("text", text, False, None) for text in texts]
    pieces[-1] = Piece("text", texts[-1], True, dict(META))
    return pieces


def chat_answer(**options: Any) -> ChatAnswer:
    return ChatAnswer(id="chatcmpl-1", created=7, model='m"', **options)


def streamed(answer: Answer[WriterT], *batches: Sequence[Piece], choices: int = 1) -> list[Any]:
    """The JSON of all frames; the last must be [DONE]."""
    writers = [answer.writer(index) for index in range(choices)]
    data = b""
    for writer in writers:
        data += writer.opening()
        for batch in batches:
            data += writer.frames(batch)
        data += writer.closing()
    data += answer.ending(writers)
    assert data.endswith(b"\n\n" + DONE) or data == DONE
    frames = data.decode().removesuffix(DONE.decode()).split("\n\n")
    assert frames.pop() == ""
    return [json.loads(frame.removeprefix("data: ")) for frame in frames]


def whole(answer: Answer[WriterT], pieces: Sequence[Piece], choices: int = 1) -> Any:
    writers = [answer.writer(index) for index in range(choices)]
    for writer in writers:
        writer.keep(pieces)
    asyncio.run(answer.settle(writers))
    return json.loads(answer.whole(writers))


def test_a_whole_chat_is_what_the_sdk_types() -> None:
    answer = ChatCompletion.model_validate(whole(chat_answer(), words("Hi ", 'y"ou')), strict=True)
    choice = answer.choices[0]
    assert (answer.model, answer.created, choice.message.content, choice.finish_reason) == (
        'm"',
        7,
        'Hi y"ou',
        "length",
    )
    assert answer.usage is not None
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens, answer.usage.total_tokens) == (3, 2, 5)
    raw = whole(chat_answer(), words("x"))["choices"][0]
    assert raw["logprobs"] is None
    assert raw["message"]["refusal"] is None


def test_a_streamed_chat_is_what_the_sdk_types() -> None:
    frames = streamed(chat_answer(include_usage=True), words("Hi ", "\u2028é", "!")[:1], words("\u2028é", "!"))
    chunks = [ChatCompletionChunk.model_validate(frame, strict=True) for frame in frames]
    assert {(chunk.id, chunk.created, chunk.model) for chunk in chunks} == {("chatcmpl-1", 7, 'm"')}
    assert chunks[0].choices[0].delta.role == "assistant"
    text = "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices)
    assert text == "Hi \u2028é!"
    assert [choice.finish_reason for chunk in chunks for choice in chunk.choices] == [None] * 4 + ["length"]
    assert all(frame["usage"] is None for frame in frames[:-1])
    assert chunks[-1].choices == []
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.total_tokens == 5


def test_usage_is_not_mentioned_unless_asked_for() -> None:
    assert all("usage" not in frame for frame in streamed(chat_answer(), words("x")))


def test_one_write_holds_all_pieces_that_were_ready() -> None:
    writer = chat_answer().writer(0)
    writer.opening()
    assert writer.frames(words("a", "b", "c")).count(b"data: ") == 3


def test_the_hand_written_frames_have_the_shape_that_is_published() -> None:
    for frame in streamed(chat_answer(include_usage=True), words("a")):
        msgspec.convert(frame, OurChunk, strict=True)
    for frame in streamed(completion_answer(include_usage=True), words("a")):
        msgspec.convert(frame, CompletionChunk, strict=True)


def speaking(format: str) -> ChatAnswer:
    return SpokenAnswer(AudioWriting("audio_1", format, RATE), id="chatcmpl-1", created=7, model='m"')


def sounds() -> list[Piece]:
    """PCM, samples as i16 and as f32; the last brings nothing but its end."""
    samples = np.array([0, 16384, -16384], np.int16)
    return [
        Piece("audio", samples.tobytes(), False, None),
        Piece("audio", Tensor.from_numpy(samples), False, None),
        Piece("audio", Tensor.from_numpy(np.array([0.0, 1.0, -2.0], np.float32)), False, None),
        Piece("audio", None, True, {"sample_rate_hz": RATE}),
    ]


PCM = np.array([0, 16384, -16384, 0, 16384, -16384, 0, 32767, -32767], np.int16).tobytes()


def test_a_spoken_chat_comes_in_any_format() -> None:
    answer = whole(speaking("flac"), [*words("Hi"), *sounds()])
    assert base64.b64decode(answer["choices"][0]["message"]["audio"]["data"]).startswith(b"fLaC")


@pytest.mark.parametrize("format", ["wav", "pcm16"])
def test_a_spoken_chat_has_its_sound_and_transcript(format: str) -> None:
    answer = ChatCompletion.model_validate(whole(speaking(format), [*words("Hi"), *sounds()]), strict=True)
    message = answer.choices[0].message
    assert message.content is None
    assert message.audio is not None
    assert (message.audio.transcript, message.audio.expires_at) == ("Hi", 7)
    data = base64.b64decode(message.audio.data)
    if format == "wav":
        with wave.open(BytesIO(data)) as file:
            assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (RATE, 1, 2)
            data = file.readframes(file.getnframes())
    assert data == PCM
    assert answer.choices[0].finish_reason == "length"


def test_a_spoken_stream_has_sound_transcript_and_expiry() -> None:
    frames = streamed(speaking("pcm16"), words("Hi ", "you"), sounds())
    for frame in frames:
        ChatCompletionChunk.model_validate(frame, strict=True)
        msgspec.convert(frame, OurChunk, strict=True)
    deltas = [choice["delta"]["audio"] for frame in frames for choice in frame["choices"] if "audio" in choice["delta"]]
    assert {delta["id"] for delta in deltas} == {"audio_1"}
    assert "".join(delta.get("transcript", "") for delta in deltas) == "Hi you"
    assert b"".join(base64.b64decode(delta.get("data", "")) for delta in deltas) == PCM
    assert deltas[-1] == {"id": "audio_1", "expires_at": 7}
    assert frames[-1]["choices"][0]["finish_reason"] == "length"


def completion_answer(**options: Any) -> CompletionAnswer:
    return CompletionAnswer(**{"id": "cmpl-1", "created": 7, "model": "m", "echoes": ["", ""], **options})


def test_a_whole_completion_is_what_the_sdk_types() -> None:
    body = whole(completion_answer(echoes=["Say: ", "And: "]), words("a", "b"), choices=2)
    answer = Completion.model_validate(body, strict=True)
    assert [(choice.index, choice.text) for choice in answer.choices] == [(0, "Say: ab"), (1, "And: ab")]
    assert answer.usage is not None
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (6, 4)


def test_a_prompt_counts_once_however_many_choices_it_has() -> None:
    usage = whole(chat_answer(choices_per_prompt=3), words("a"), choices=3)["usage"]
    assert usage == {"prompt_tokens": 3, "completion_tokens": 6, "total_tokens": 9}


def test_unknown_usage_is_null_rather_than_invented() -> None:
    body = whole(chat_answer(), [Piece("text", "a", True, {"finish_reason": "stop"})])
    assert body["usage"] is None


def test_a_streamed_completion_is_what_the_sdk_types() -> None:
    frames = streamed(completion_answer(echoes=["Say: "], include_usage=True), words("a", "b"))
    for frame in frames:
        # OpenAI itself sends null until the end, whatever its SDK's type says.
        ended = [{**choice, "finish_reason": choice["finish_reason"] or "stop"} for choice in frame["choices"]]
        Completion.model_validate({**frame, "choices": ended}, strict=True)
    assert "".join(choice["text"] for frame in frames for choice in frame["choices"]) == "Say: ab"
    assert frames[-2]["choices"][0]["finish_reason"] == "length"
    assert frames[-1] == {**frames[-1], "choices": [], "usage": {**META["usage"], "total_tokens": 5}}  # type: ignore[dict-item]


@pytest.mark.parametrize(
    "piece",
    [
        Piece("text", 7, False, None),
        Piece("text", b"x", False, None),
        Piece("text", "x", True, {"finish_reason": "bored"}),
    ],
)
def test_a_stage_that_gives_nonsense_does_not_put_it_into_an_answer(piece: Piece) -> None:
    writer = chat_answer().writer(0)
    with pytest.raises(TypeError):
        writer.frames([piece])
    with pytest.raises(TypeError):
        writer.keep([piece])
