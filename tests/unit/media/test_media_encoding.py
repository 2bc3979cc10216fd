"""Every format that samples are made into plays for as long as they last, and begins to come before they end."""

import io

import av
import numpy as np
import pytest
from tests.unit.media.samples import tone

from omnipipe.media.audio import decode_audio
from omnipipe.media.encode import AUDIO_FORMATS, AudioEncoder, available_formats, encode_audio
from omnipipe.media.limits import MediaLimits
from omnipipe.media.wav import wav_header

RATE_HZ = 24_000
SECONDS = 1.3
PCM = tone(SECONDS, RATE_HZ).tobytes()
CODED = ("mp3", "flac", "opus", "aac")


def streamed(format: str, pcm: bytes, rate_hz: int = RATE_HZ, channels: int = 1, speed: float = 1.0) -> list[bytes]:
    """In pieces that end in the middle of samples."""
    encoder = AudioEncoder(format, rate_hz, channels, speed)
    return [*(encoder.push(pcm[at : at + 2_401]) for at in range(0, len(pcm), 2_401)), encoder.finish()]


def seconds_of(format: str, data: bytes) -> float:
    if format == "pcm16":
        return len(data) / 2 / RATE_HZ
    return len(decode_audio(data, RATE_HZ, MediaLimits())) / RATE_HZ


@pytest.mark.parametrize("speed", [0.25, 0.8, 1.0, 1.5, 4.0])
@pytest.mark.parametrize("format", AUDIO_FORMATS)
def test_how_long_it_plays(format: str, speed: float) -> None:
    assert abs(seconds_of(format, b"".join(streamed(format, PCM, speed=speed))) - SECONDS / speed) < 0.05
    assert abs(seconds_of(format, encode_audio(format, PCM, RATE_HZ, speed=speed)) - SECONDS / speed) < 0.05


@pytest.mark.parametrize("speed", [0.5, 1.0, 2.0])
@pytest.mark.parametrize("format", ["wav", *CODED])
def test_the_pitch_stays(format: str, speed: float) -> None:
    samples = decode_audio(b"".join(streamed(format, PCM, speed=speed)), RATE_HZ, MediaLimits())
    middle = samples[4_000:12_000]

    peak = np.abs(np.fft.rfft(middle * np.hanning(len(middle)))).argmax() * RATE_HZ / len(middle)

    assert abs(peak - 440) < 8
    assert 0.35 < np.abs(middle).max() < 0.65


@pytest.mark.parametrize("format", AUDIO_FORMATS)
def test_it_begins_early(format: str) -> None:
    pieces = streamed(format, PCM)
    first = next(number for number, piece in enumerate(pieces) if piece)

    assert first <= 6  # of 27 pieces: a third of a second
    assert sum(map(bool, pieces)) >= 5


def test_samples_come_back_as_they_are() -> None:
    assert b"".join(streamed("pcm16", PCM)) == PCM
    assert b"".join(streamed("wav", PCM)) == wav_header(0xFFFF_FFFF, RATE_HZ) + PCM
    assert encode_audio("wav", PCM, RATE_HZ) == wav_header(len(PCM), RATE_HZ) + PCM
    assert len(wav_header(0, RATE_HZ)) == 44


def test_flac_keeps_every_sample() -> None:
    found = decode_audio(encode_audio("flac", PCM, RATE_HZ), RATE_HZ, MediaLimits())

    np.testing.assert_array_equal(found, np.frombuffer(PCM, "<i2").astype(np.float32) / 32768)


@pytest.mark.parametrize("format", ["mp3", "flac", "opus"])  # ADTS has no header
def test_a_whole_file_says_how_long_it_is(format: str) -> None:
    with av.open(io.BytesIO(encode_audio(format, PCM, RATE_HZ)), "r") as container:
        assert container.duration is not None
        assert abs(container.duration / 1e6 - SECONDS) < 0.05


@pytest.mark.parametrize("rate_hz", [8_000, 11_025, 16_000, 22_050, 32_000, 44_100, 48_000])
@pytest.mark.parametrize("format", CODED)
def test_rates(format: str, rate_hz: int) -> None:
    data = b"".join(streamed(format, tone(0.4, rate_hz).tobytes(), rate_hz))

    assert abs(seconds_of(format, data) - 0.4) < 0.05


@pytest.mark.parametrize("format", AUDIO_FORMATS)
def test_two_channels(format: str) -> None:
    both = np.repeat(tone(0.5, RATE_HZ)[:, None], 2, axis=1).tobytes()
    data = b"".join(streamed(format, both, channels=2))

    assert abs(seconds_of(format, data) - (1.0 if format == "pcm16" else 0.5)) < 0.05


@pytest.mark.parametrize("format", AUDIO_FORMATS)
def test_no_sound_at_all_is_a_file_that_opens(format: str) -> None:
    data = b"".join(streamed(format, b""))

    if format in CODED:
        assert seconds_of(format, data) < 0.06
    else:
        assert data == (wav_header(0xFFFF_FFFF, RATE_HZ) if format == "wav" else b"")


def test_what_there_is() -> None:
    assert available_formats() == frozenset(AUDIO_FORMATS)
    with pytest.raises(ValueError, match="no audio format 'midi'"):
        AudioEncoder("midi", RATE_HZ)
    with pytest.raises(ValueError, match="speed"):
        AudioEncoder("wav", RATE_HZ, speed=5.0)
    with pytest.raises(ValueError, match="channels"):
        AudioEncoder("wav", RATE_HZ, channels=6)
