"""Sound of all sorts becomes mono samples at one rate, of the length that was recorded."""

import io
import wave

import numpy as np
import numpy.typing as npt
import pytest
from tests.unit.media.samples import SOUNDS, film, picture, save, sound, tone

from omnipipe.errors import ErrorKind, RequestError
from omnipipe.media.audio import decode_audio
from omnipipe.media.limits import MediaLimits
from omnipipe.media.wav import wav_header

LIMITS = MediaLimits()
RATE_HZ = 16_000


def refusal(data: bytes, limits: MediaLimits = LIMITS) -> str:
    with pytest.raises(RequestError) as caught:
        decode_audio(data, RATE_HZ, limits, path="audios[0]")
    assert caught.value.kind is ErrorKind.INVALID
    assert caught.value.param == "audios[0]"
    return caught.value.message.removeprefix("'audios[0]' ")


def pitch_hz(samples: npt.NDArray[np.float32], rate_hz: int) -> float:
    return float(np.abs(np.fft.rfft(samples * np.hanning(len(samples)))).argmax()) * rate_hz / len(samples)


def wav_of(samples: npt.NDArray[np.int16], rate_hz: int, channels: int = 1) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(channels)
        writer.setsampwidth(2)
        writer.setframerate(rate_hz)
        writer.writeframes(samples.tobytes())
    return file.getvalue()


@pytest.mark.parametrize("name", SOUNDS)
def test_formats(name: str) -> None:
    found = decode_audio(sound(name), RATE_HZ, LIMITS)

    assert found.dtype == np.float32
    assert found.ndim == 1
    assert abs(len(found) / RATE_HZ - 0.5) < 0.05
    assert abs(pitch_hz(found[1000:7000], RATE_HZ) - 440) < 6
    assert 0.4 < np.abs(found).max() < 0.6


def test_samples_at_the_same_rate_are_the_ones_in_the_file() -> None:
    samples = tone(0.1, RATE_HZ)

    found = decode_audio(wav_of(samples, RATE_HZ), RATE_HZ, LIMITS)

    np.testing.assert_array_equal(found, samples.astype(np.float32) / 32768)


def test_channels_are_averaged() -> None:
    left, right = tone(0.1, RATE_HZ), np.zeros(1600, np.int16)
    both = np.stack([left, right], axis=1)

    found = decode_audio(wav_of(both, RATE_HZ, 2), RATE_HZ, LIMITS)

    np.testing.assert_allclose(found, left / 65536, atol=1e-7)


def test_the_rate_is_changed_as_soxr_does_it_in_one_go() -> None:
    import soxr  # type: ignore[import-untyped]

    samples = tone(0.7, 44_100)

    found = decode_audio(wav_of(samples, 44_100), RATE_HZ, LIMITS)

    np.testing.assert_allclose(found, soxr.resample(samples.astype(np.float32) / 32768, 44_100, RATE_HZ), atol=1e-6)


def test_the_sound_of_a_video() -> None:
    assert abs(len(decode_audio(film(sound_s=1.0), RATE_HZ, LIMITS)) / RATE_HZ - 1.0) < 0.05
    assert refusal(film()) == "has no sound in it."


def test_seconds_are_counted_while_decoding() -> None:
    assert refusal(sound("mp3"), MediaLimits(max_seconds=0.4)) == "is too long: the limit is 0.4 seconds."
    assert refusal(sound("flac"), MediaLimits(max_seconds=0.4)) == "is too long: the limit is 0.4 seconds."
    assert len(decode_audio(sound("flac"), RATE_HZ, MediaLimits(max_seconds=0.5))) == RATE_HZ // 2


def test_a_header_that_tells_too_little_gains_nothing() -> None:
    lying = bytearray(wav_of(tone(0.5, RATE_HZ), RATE_HZ))
    lying[40:44] = (320).to_bytes(4, "little")

    assert len(decode_audio(bytes(lying), RATE_HZ, LIMITS)) <= 160 * 2


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf, 1e30])
def test_floats_that_are_no_samples(wrong: float) -> None:
    data = bytearray(sound("float"))
    data[-400:-396] = np.float32(wrong).tobytes()

    assert refusal(bytes(data)) == "has samples in it that are no sound."


def test_the_time_for_decoding_is_bounded() -> None:
    assert refusal(sound("mp3"), MediaLimits(max_decode_s=0.0)).startswith("takes too long to decode.")


@pytest.mark.parametrize("unknown", [0, 0xFFFF_FFFF, 0x7FFF_FFFF])
def test_a_wav_file_of_unknown_length_is_read_to_its_end(unknown: int) -> None:
    samples = tone(0.25, RATE_HZ)

    found = decode_audio(wav_header(unknown, RATE_HZ) + samples.tobytes(), RATE_HZ, LIMITS)

    assert len(found) == len(samples)


@pytest.mark.parametrize("name", ["wav", "flac", "m4a", "webm", "aiff"])
def test_half_a_file_is_refused(name: str) -> None:
    whole = sound(name, 2.0)

    assert "cut short" in refusal(whole[: len(whole) // 2])


def test_a_short_clip_cut_in_half_is_refused_too() -> None:
    whole = sound("wav", 0.3)

    assert len(decode_audio(whole, RATE_HZ, LIMITS)) == pytest.approx(0.3 * RATE_HZ, abs=1)
    assert "cut short" in refusal(whole[: len(whole) // 2])


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "is empty."),
        (b"some words", "holds text, not audio in a format that is read here."),
        (b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n", "holds a playlist, not audio in a format that is read here."),
        (wav_header(0, RATE_HZ), "has no sound in it."),
        (b"\x1a\x45\xdf\xa3", "is damaged or cut short: it could not be decoded. Send the whole file."),
    ],
)
def test_what_is_no_sound(data: bytes, message: str) -> None:
    assert refusal(data) == message


def test_a_picture_sent_as_sound() -> None:
    assert refusal(save(picture(), "PNG")) == "holds image/png, which is not audio."
