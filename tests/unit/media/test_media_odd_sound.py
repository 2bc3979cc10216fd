"""Sound as it comes from pipes and old tools: files one behind another, and codings that are not read."""

import numpy as np
import pytest
from tests.unit.media.samples import SOUNDS, film, sound, tone

from omnipipe.errors import RequestError
from omnipipe.media.audio import decode_audio
from omnipipe.media.limits import MediaLimits
from omnipipe.media.wav import wav_header

RATE_HZ = 16_000


def seconds(data: bytes) -> float:
    return len(decode_audio(data, RATE_HZ, MediaLimits())) / RATE_HZ


@pytest.mark.parametrize(("first", "second"), [(48_000, 16_000), (16_000, 48_000), (48_000, 24_000)])
def test_a_stream_of_two_files_of_two_rates_is_as_long_as_both(first: int, second: int) -> None:
    data = sound("aac", 0.5, first) + sound("aac", 0.5, second)

    assert seconds(data) == pytest.approx(
        seconds(sound("aac", 0.5, first)) + seconds(sound("aac", 0.5, second)), abs=0.02
    )


@pytest.mark.parametrize("limit", [10_000, 9_999])
def test_as_many_bytes_as_are_allowed_and_no_more(limit: int) -> None:
    samples = np.zeros(4978, np.int16)
    data = wav_header(samples.nbytes, RATE_HZ) + samples.tobytes()
    assert len(data) == 10_000
    limits = MediaLimits(max_bytes=limit)

    if limit == len(data):
        assert len(decode_audio(data, RATE_HZ, limits)) == len(samples)
        return
    with pytest.raises(RequestError, match="is too large: 10000 bytes, and the limit is 9999"):
        decode_audio(data, RATE_HZ, limits)


def test_a_coding_that_is_not_read_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SOUNDS, "tta", ("matroska", "tta"))

    with pytest.raises(RequestError, match=r"not read here|could not be decoded"):
        decode_audio(sound("tta"), RATE_HZ, MediaLimits())


def test_a_film_without_sound_has_none_in_it() -> None:
    with pytest.raises(RequestError, match="no sound in it"):
        decode_audio(film(), RATE_HZ, MediaLimits())


def test_a_second_is_a_second_at_any_rate() -> None:
    for rate in (8_000, 11_025, 44_100, 96_000):
        samples = tone(1.0, rate)
        data = wav_header(samples.nbytes, rate) + samples.tobytes()
        assert seconds(data) == pytest.approx(1.0, abs=0.001)
