"""A stream's body, cut anywhere, to events and to the answer that they add up to."""

import json
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.client.lines_of import document, line

from omnipipe.client.decoder import StreamDecoder, read_document
from omnipipe.client.errors import BadAnswer, BadRequest, ClientError, RateLimited, ServerError, StreamBroken
from omnipipe.client.results import (
    ActionChunk,
    AudioBuffer,
    AudioChunk,
    ImageChunk,
    RawChunk,
    StreamEvent,
    TextChunk,
    VideoChunk,
)
from omnipipe.client.wav import wav_bytes


def events(*chunks: bytes) -> list[StreamEvent]:
    decoder = StreamDecoder()
    found = []
    for chunk in chunks:
        decoder.feed(chunk)
        while (event := decoder.next()) is not None:
            found.append(event)
    decoder.end()
    while (event := decoder.next()) is not None:
        found.append(event)
    return found


def broken(*chunks: bytes) -> tuple[list[StreamEvent], ClientError]:
    """The events before the fault, and the fault."""
    decoder = StreamDecoder()
    found = []
    try:
        for chunk in (*chunks, None):
            decoder.feed(chunk) if chunk is not None else decoder.end()
            while (event := decoder.next()) is not None:
                found.append(event)
    except ClientError as error:
        return found, error
    raise AssertionError("no fault")


SAMPLES = struct.pack("<6h", 1, -2, 3, -4, 5, -6)


def test_every_modality_has_its_event_and_its_metadata() -> None:
    assert events(
        line("text", b"hi", reasoning="so"),
        line("image", b"png", seed=1),
        line("audio", SAMPLES, sample_rate=16000, num_channels=2),
        line("video", b"mp4"),
        line("action", b"\0\1", shape=[1]),
        line("scalar", b"7"),
    ) == [
        TextChunk("hi", {"reasoning": "so"}),
        ImageChunk(b"png", {"seed": 1}),
        AudioChunk(SAMPLES, 16000, 2, {"sample_rate": 16000, "num_channels": 2}),
        VideoChunk(b"mp4"),
        ActionChunk(b"\0\1", {"shape": [1]}),
        RawChunk("scalar", b"7"),
    ]


@given(st.data())
def test_the_network_may_cut_a_stream_anywhere(data: st.DataObject) -> None:
    body = (
        line("text", "żółw ".encode())
        + b"\n  \r\n"
        + line("text", "🐢".encode(), end="\r\n")
        + line("image", bytes(range(256)))
        + line("text", b"!", end="")
    )
    cuts = sorted(data.draw(st.lists(st.integers(0, len(body)), max_size=8)))
    chunks = [body[a:b] for a, b in zip([0, *cuts], [*cuts, len(body)], strict=True)]
    assert events(*chunks) == [
        TextChunk("żółw "), TextChunk("🐢"), ImageChunk(bytes(range(256))), TextChunk("!"),
    ]  # fmt: skip


@given(st.text(), st.integers(1, 5))
def test_a_text_cut_inside_its_characters_is_whole_again(text: str, size: int) -> None:
    data = text.encode()
    body = b"".join(line("text", data[at : at + size]) for at in range(0, len(data), size))
    found = events(body)
    assert all(isinstance(event, TextChunk) and event.text for event in found)
    assert "".join(event.text for event in found if isinstance(event, TextChunk)) == text


def test_base64_cut_inside_its_groups_is_whole_again() -> None:
    assert events(line("text", "aGVsb"), line("text", "G8gd29ybGQ="), line("text", b"!")) == [
        TextChunk("hel"), TextChunk("lo world"), TextChunk("!"),
    ]  # fmt: skip


def test_a_sample_cut_in_two_is_whole_again() -> None:
    found = events(*(line("audio", SAMPLES[at : at + 5], sample_rate=8000, num_channels=2) for at in range(0, 12, 5)))
    assert b"".join(event.pcm for event in found if isinstance(event, AudioChunk)) == SAMPLES
    assert all(len(event.pcm) % 4 == 0 for event in found if isinstance(event, AudioChunk))


def test_sound_without_a_rate_has_the_usual_one() -> None:
    assert events(line("audio", SAMPLES)) == [AudioChunk(SAMPLES, 24000, 1)]


def test_a_wav_header_with_each_piece_is_taken_off_and_believed() -> None:
    wav = wav_bytes(SAMPLES, 16000, 2)
    found = events(line("audio", wav), line("audio", wav))
    assert found == [AudioChunk(SAMPLES, 16000, 2), AudioChunk(SAMPLES, 16000, 2)]


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        (b"<html>\n", "is no JSON: <html>"),
        (b"[1]\n", "it has no modality"),
        (b'{"data": "aGk="}\n', "it has no modality"),
        (b'{"modality": "text", "data": 7}\n', "not {data, metadata}"),
        (b'{"modality": "text", "data": "", "metadata": []}\n', "not {data, metadata}"),
        (line("image", "aGk"), "is not whole base64"),
        (line("text", "a\u00e9=="), "is not whole base64"),
        (line("text", b"\xff"), "is not UTF-8"),
        (line("audio", SAMPLES, sample_rate="fast"), "sample_rate 'fast'"),
        (line("audio", SAMPLES, num_channels=0), "num_channels 0"),
    ],
)
def test_what_cannot_be_read_is_an_error_after_what_could(bad: bytes, says: str) -> None:
    found, error = broken(line("text", b"hello") + bad + line("text", b"lost"))
    assert found == [TextChunk("hello")]
    assert isinstance(error, BadAnswer)
    assert says in str(error)


@pytest.mark.parametrize(
    "body",
    [
        line("text", b"hello")[:-5],
        line("text", "é".encode()[:1]),
        line("text", "aGVsb"),
        line("audio", SAMPLES[:3]),
        line("audio", wav_bytes(SAMPLES, 8000, 1)[:30]),
    ],
    ids=["line", "character", "base64", "sample", "header"],
)
def test_what_is_only_half_there_at_the_end_is_a_broken_stream(body: bytes) -> None:
    _, error = broken(line("image", b"whole") + body)
    assert isinstance(error, StreamBroken)
    assert "too early" in str(error)


def test_sound_that_changes_on_its_way_cannot_be_put_together() -> None:
    _, error = broken(line("audio", SAMPLES, sample_rate=8000) + line("audio", SAMPLES, sample_rate=16000))
    assert isinstance(error, BadAnswer)


@pytest.mark.parametrize(
    ("metadata", "kind", "status"),
    [
        ({"status": 400}, BadRequest, 400),
        ({"status": 429}, RateLimited, 429),
        ({"status": 503}, ServerError, 503),
        ({}, ServerError, 500),
        ({"status": True}, ServerError, 500),
        ({"status": 200}, ServerError, 500),
    ],
)
def test_an_error_line_is_an_error(metadata: dict[str, object], kind: type[Exception], status: int) -> None:
    found, error = broken(line("text", b"hel"), line("error", "it broke źle".encode(), "\n", code="c", **metadata))
    assert found == [TextChunk("hel")]
    assert isinstance(error, kind)
    assert isinstance(error, BadRequest | RateLimited | ServerError)
    assert (error.status, error.message, error.code, error.retryable) == (status, "it broke źle", "c", False)


def test_what_has_come_is_put_together() -> None:
    decoder = StreamDecoder("r-7")
    decoder.feed(
        line("text", b"hel")
        + line("audio", SAMPLES, sample_rate=8000)
        + line("text", b"lo")
        + line("audio", SAMPLES)
        + line("image", b"png")
        + line("action", b"act")
        + line("text", b"", usage={"total_tokens": 3}, finish_reason="stop")
    )
    while decoder.next() is not None:
        pass
    result = decoder.result
    assert (result.request_id, result.text, result.images, result.actions) == ("r-7", "hello", [b"png"], [b"act"])
    assert result.audio == AudioBuffer(SAMPLES * 2, 8000)
    assert (result.usage, result.finish_reason, decoder.finished) == ({"total_tokens": 3}, "stop", True)
    assert [piece["modality"] for piece in result.raw] == ["text", "audio", "text", "audio", "image", "action", "text"]


def test_a_document_is_a_whole_answer() -> None:
    body = document(
        text=[("hé".encode()[:2], {}), ("hé".encode()[2:], {})],
        audio=[(SAMPLES, {"sample_rate": 8000, "num_channels": 2})],
        action=[(b"act", {"shape": [3]})],
        video=[(b"mp4", {})],
    )
    result = read_document(body, "from the header")
    assert (result.request_id, result.text, result.actions, result.video) == ("r-1", "hé", [b"act"], [b"mp4"])
    assert result.audio == AudioBuffer(SAMPLES, 8000, 2)
    assert result.raw[-2] == {"modality": "action", "bytes": b"act", "metadata": {"shape": [3]}}


def test_a_document_without_outputs_is_an_answer_with_nothing() -> None:
    result = read_document(json.dumps({"outputs": {}}).encode(), "r-2")
    assert (result.request_id, result.text, result.audio, result.images) == ("r-2", None, None, [])


@pytest.mark.parametrize(
    "body", [b"", b"nothing", b"[]", b"{}", b'{"outputs": {"text": {}}}', b'{"outputs": {"x": [1]}}']
)
def test_a_document_that_is_no_answer_is_an_error(body: bytes) -> None:
    with pytest.raises(BadAnswer):
        read_document(body, None)


def test_a_document_that_breaks_keeps_what_could_be_read() -> None:
    with pytest.raises(BadAnswer) as caught:
        read_document(document(image=[(b"png", {})], text=[(b"\xff", {})]), None)
    assert caught.value.partial is not None
    assert caught.value.partial.images == [b"png"]
