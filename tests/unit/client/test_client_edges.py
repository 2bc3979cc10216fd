"""What a caller meets at the edges: the last picture, an error in odd bytes, sound whose channels a header tells."""

import json
import struct
from pathlib import Path

import pytest
from tests.unit.client.lines_of import document, line

from omnipipe.client.answer import read_error
from omnipipe.client.decoder import StreamDecoder, read_document
from omnipipe.client.errors import BadAnswer, BadRequest
from omnipipe.client.limits import Deadline, TimeLimits
from omnipipe.client.results import AudioChunk, GenerateResult, TextChunk
from omnipipe.client.sniff import kinds_of
from omnipipe.client.wav import Samples, wav_bytes

PCM = struct.pack("<8h", *range(8))


def test_an_errors_code_is_there_for_programs() -> None:
    body = {"error": {"message": "no such model", "type": "invalid_request_error", "code": "model_not_found"}}

    assert read_error(404, {}, json.dumps(body).encode()).code == "model_not_found"
    assert read_error(404, {}, b'{"error": {"message": "x", "code": 7}}').code is None


def test_an_error_page_of_odd_bytes_is_shown_as_far_as_it_can_be_read() -> None:
    assert read_error(502, {}, b"caf\xe9 closed").message == "caf\ufffd closed"


def test_a_redirection_is_the_callers_to_mend_and_can_be_looked_up() -> None:
    error = read_error(307, {"location": "https://elsewhere", "x-request-id": "r-9"}, b"")

    assert isinstance(error, BadRequest)
    assert (error.status, error.request_id) == (307, "r-9")


def test_pictures_are_counted_from_either_end(tmp_path: Path) -> None:
    result = GenerateResult(images=[b"one", b"two"])

    assert Path(result.save_image(tmp_path / "last.png", -1)).read_bytes() == b"two"
    assert Path(result.save_image(tmp_path / "first.png", -2)).read_bytes() == b"one"
    for index in (2, -3):
        with pytest.raises(IndexError, match=f"no picture {index}: the answer has 2"):
            result.save_image(tmp_path / "none.png", index)


def test_base64_with_its_padding_is_whole_though_it_is_no_multiple_of_four() -> None:
    """Rather than waiting for more, and calling the stream broken off when nothing comes."""
    decoder = StreamDecoder()
    decoder.feed(line("text", "aGk="))
    assert decoder.next() == TextChunk("hi")
    decoder.feed(line("text", "aGk=="))
    with pytest.raises(BadAnswer, match="is not whole base64"):
        decoder.next()


def test_a_document_whose_last_piece_is_cut_is_no_answer() -> None:
    whole = json.loads(document(text=[(b"hello", {})]))
    whole["outputs"]["text"][0]["data"] = "aGVsb"

    with pytest.raises(BadAnswer, match="ends inside"):
        read_document(json.dumps(whole).encode(), None)


def test_a_films_container_may_be_given_as_film_or_as_sound() -> None:
    for extension in ("ogg", "OGG", "mp4", "webm"):
        assert kinds_of(extension) == {"audio", "video"}
    assert kinds_of("opus") == {"audio"}
    assert kinds_of("png") == {"image"}
    assert kinds_of("txt") == frozenset()


def test_the_channels_that_a_header_tells_hold_for_the_pieces_after_it() -> None:
    """A frame of two channels cut in two is put together again, whatever the metadata say of channels."""
    samples = Samples()

    first = samples.feed(wav_bytes(PCM, 16000, 2)[:-2], 1)
    second = samples.feed(PCM[-2:], 1)

    assert (len(first) % 4, first + second) == (0, PCM)


def test_a_tenth_of_a_second_is_a_limit() -> None:
    assert TimeLimits(total=0.1, connect=0.5, silence=0.01).total == 0.1


def test_without_a_total_a_waits_own_limit_holds() -> None:
    deadline = Deadline(TimeLimits(total=None))

    assert deadline.within(3.0) == 3.0
    assert deadline.within(None) is None


@pytest.mark.parametrize("rate", ["true", "1.5", "0", "-24000", "1e999", "NaN", '"24000"', "null", "[]"])
def test_a_rate_that_no_sound_has_is_a_bad_answer(rate: str) -> None:
    """1e999 is JSON, and becomes an infinite number."""
    decoder = StreamDecoder()
    decoder.feed(line("audio", PCM, sample_rate="RATE").replace(b'"RATE"', rate.encode()))

    with pytest.raises(BadAnswer):
        decoder.next()


def test_a_rate_with_a_fraction_of_nothing_is_whole() -> None:
    decoder = StreamDecoder()
    decoder.feed(line("audio", PCM, sample_rate=16000.0))

    assert decoder.next() == AudioChunk(PCM, 16000, 1, {"sample_rate": 16000.0})
