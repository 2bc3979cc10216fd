from typing import Any

import pytest

from omnipipe.errors import ErrorKind, RequestError
from omnipipe.families.echo.requests import EchoRequests
from omnipipe.families.requests import AudioOptions, Message, Part, TextRequest
from omnipipe.wire.value import Value


def asked(*messages: Message, audio: AudioOptions | None = None, **options: Value) -> Value:
    outputs = frozenset({"text", "audio"} if audio else {"text"})
    return EchoRequests().entry(TextRequest("chat", messages, outputs, audio, dict(options))).value


def said(role: Any, *texts: str) -> Message:
    return Message(role, tuple(Part("text", text) for text in texts))


def test_the_last_user_message_is_what_is_said() -> None:
    value = asked(said("system", "Be brief."), said("user", "first"), said("assistant", "ok"), said("user", "a ", "b"))

    assert value["text"] == "a b"
    assert value["prompt_tokens"] == 6
    assert value["stop"] == []
    assert value["max_tokens"] is None


def test_the_entry_says_which_modalities_it_brings() -> None:
    request = TextRequest("completion", (said("user", "x"),), frozenset({"text"}))

    assert EchoRequests().entry(request).inputs == {"text"}


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
def test_both_names_of_the_limit_have_their_effect(name: str) -> None:
    options: dict[str, Any] = {name: 5}

    assert asked(said("user", "x"), **options)["max_tokens"] == 5


def test_one_stop_string_or_several() -> None:
    assert asked(said("user", "x"), stop="a")["stop"] == ["a"]
    assert asked(said("user", "x"), stop=["a", "b"])["stop"] == ["a", "b"]


def test_a_voice() -> None:
    assert asked(said("user", "x"), audio=AudioOptions("cello", "wav"))["voice"] == "cello"


def test_the_declared_voices_and_formats() -> None:
    requests = EchoRequests()

    assert {"alloy", "cello"} <= requests.voices
    assert requests.audio_formats == {"wav", "pcm16", "mp3", "flac", "opus", "aac"}
    assert requests.sample_rate_hz == 24_000
    assert requests.options == {"max_tokens", "max_completion_tokens", "stop"}


@pytest.mark.parametrize(
    ("messages", "options", "kind", "param"),
    [
        ((said("system", "x"),), {}, ErrorKind.INVALID, "messages"),
        ((said("user", "x"),), {"max_tokens": 1, "max_completion_tokens": 2}, ErrorKind.INVALID, "max_tokens"),
        ((said("user", "x"),), {"audio": AudioOptions("tuba", "wav")}, ErrorKind.INVALID, "audio.voice"),
        (
            (said("user", "x"), Message("user", (Part("text", "y"), Part("image", url="https://example.com/x.png")))),
            {},
            ErrorKind.UNPROCESSABLE,
            "messages[1].content[1]",
        ),
    ],
)
def test_what_it_cannot_do_is_refused_by_name(
    messages: tuple[Message, ...], options: dict[str, Any], kind: ErrorKind, param: str
) -> None:
    with pytest.raises(RequestError) as caught:
        asked(*messages, **options)

    assert (caught.value.kind, caught.value.param) == (kind, param)


@pytest.mark.parametrize(
    ("stage", "params"),
    [
        ("ingest", {"delay_ms": 5, "block_ms": 0.5}),
        ("words", {"fail": "error", "fail_after": 1, "crash": False}),
        ("compose", {"chunks": 3, "chunk_bytes": 7}),
        ("synth", {"chunks": 3, "chunk_bytes": 8, "crash": True, "crash_after": 2}),
        ("pitch", {}),
    ],
)
def test_stage_params_that_have_their_effect(stage: str, params: dict[str, Value]) -> None:
    EchoRequests().check_stage_params(stage, params)


@pytest.mark.parametrize(
    ("stage", "params", "param", "message"),
    [
        ("synth", {"dellay_ms": 1}, "stage_params.synth.dellay_ms", 'did you mean "delay_ms"'),
        ("words", {"chunks": 1}, "stage_params.words.chunks", "unknown option"),
        ("synth", {"delay_ms": "1"}, "stage_params.synth.delay_ms", "must be a number"),
        ("synth", {"delay_ms": True}, "stage_params.synth.delay_ms", "must be a number"),
        ("synth", {"delay_ms": float("nan")}, "stage_params.synth.delay_ms", "must be a number"),
        ("synth", {"delay_ms": -1}, "stage_params.synth.delay_ms", "at least 0"),
        ("synth", {"chunks": 1.5}, "stage_params.synth.chunks", "a whole number"),
        ("synth", {"chunk_bytes": 3}, "stage_params.synth.chunk_bytes", "a multiple of 2"),
        ("synth", {"crash": 1}, "stage_params.synth.crash", "true or false"),
        ("synth", {"fail": "no"}, "stage_params.synth.fail", "one of request, error"),
        ("sinth", {}, "stage_params.sinth", 'did you mean "synth"'),
    ],
)
def test_stage_params_that_would_not(stage: str, params: dict[str, Value], param: str, message: str) -> None:
    with pytest.raises(RequestError) as caught:
        EchoRequests().check_stage_params(stage, params)

    assert caught.value.kind is ErrorKind.INVALID
    assert caught.value.param == param
    assert message in caught.value.message
