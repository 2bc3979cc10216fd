"""However a file is cut and its bytes are changed: pixels and samples within the limits, or a RequestError."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.media.samples import film, picture, save, sound

from omnipipe.errors import ErrorKind, RequestError
from omnipipe.media.audio import decode_audio
from omnipipe.media.images import decode_image
from omnipipe.media.limits import MediaLimits
from omnipipe.media.sniffing import sniff, unreadable
from omnipipe.media.video import decode_video

LIMITS = MediaLimits(max_pixels=1 << 16, max_seconds=5.0, max_decode_s=1.0, max_video_pixels=1 << 18)

PICTURES = ("PNG", "JPEG", "GIF", "WEBP", "BMP", "AVIF")
SOUNDS = ("wav", "mp3", "flac", "opus", "aac", "m4a", "webm", "aiff")
FILMS = (("mp4", "libx264"), ("mov", "mpeg4"), ("webm", "libvpx"), ("avi", "mpeg4"))
HEADS = (
    b"RIFF\0\0\0\0WAVE", b"RIFF\0\0\0\0AVI ",
    b"\0\0\0\x18ftypisom", b"\x1a\x45\xdf\xa3", b"OggS", b"ID3\x04\0\0", b"fLaC",
    b"\xff\xf1P\x80", b"\xff\xfb\x90\xc4", b"FORM\0\0\0\0AIFF", b"caff", b"#!AMR\n",
)  # fmt: skip

Damage = st.tuples(
    st.floats(0.0, 1.0),
    st.lists(st.tuples(st.floats(0.0, 1.0, exclude_max=True), st.integers(0, 255)), max_size=8),
)
"""How much of the file is left, and which of its bytes (by where they are) become which."""


def damaged(data: bytes, damage: tuple[float, list[tuple[float, int]]]) -> bytes:
    share, changes = damage
    found = bytearray(data[: round(len(data) * share)])
    for where, value in changes:
        if found:
            found[int(where * len(found))] = value
    return bytes(found)


def check(data: bytes) -> None:
    try:
        pixels = decode_image(data, LIMITS)
        assert pixels.shape[0] * pixels.shape[1] <= LIMITS.max_pixels
    except RequestError as error:
        check_refusal(error)
    try:
        assert 0 < len(decode_audio(data, 16_000, LIMITS)) <= 6 * 16_000
    except RequestError as error:
        check_refusal(error)
    try:
        video = decode_video(data, LIMITS, fps=2, min_frames=2, max_frames=8, with_audio_hz=16_000)
        assert 0 < len(video.frames) <= 8
        assert len(video.times) == len(video.indices) == len(video.frames)
    except RequestError as error:
        check_refusal(error)


def check_refusal(error: RequestError) -> None:
    assert error.kind is ErrorKind.INVALID
    assert error.message.startswith("The media ")
    assert "Errno" not in error.message and "ffmpeg" not in error.message.lower()


@pytest.mark.parametrize("format", PICTURES)
@settings(max_examples=15)
@given(damage=Damage)
def test_pictures(format: str, damage: tuple[float, list[tuple[float, int]]]) -> None:
    check(damaged(save(picture(40, 30), format), damage))


@pytest.mark.parametrize("name", SOUNDS)
@settings(max_examples=10)
@given(damage=Damage)
def test_sounds(name: str, damage: tuple[float, list[tuple[float, int]]]) -> None:
    check(damaged(sound(name), damage))


@pytest.mark.parametrize(("muxer", "codec"), FILMS)
@settings(max_examples=8)
@given(damage=Damage)
def test_films(muxer: str, codec: str, damage: tuple[float, list[tuple[float, int]]]) -> None:
    check(damaged(film(muxer, codec, sound_s=0.0 if muxer == "avi" else 1.0), damage))


@settings(max_examples=40)
@given(data=st.binary(max_size=200))
def test_noise(data: bytes) -> None:
    check(data)
    assert unreadable(data)


@settings(max_examples=40)
@given(head=st.sampled_from(HEADS), tail=st.binary(max_size=300))
def test_noise_behind_a_good_beginning(head: bytes, tail: bytes) -> None:
    sniff(head + tail)
    check(head + tail)
