"""Video becomes evenly spaced frames with their times, as the reference's processors choose them."""

import struct
from typing import Any

import numpy as np
import pytest
from tests.unit.media.samples import film, picture, save, sound

from omnipipe.errors import ErrorKind, RequestError
from omnipipe.media.limits import MediaLimits
from omnipipe.media.video import Video, decode_video, sample_indices

LIMITS = MediaLimits()


def decoded(data: bytes, limits: MediaLimits = LIMITS, **options: Any) -> Video:
    wanted = {"fps": 2.0, "min_frames": 2, "max_frames": 768} | options
    return decode_video(data, limits, **wanted, path="videos[0]")


def refusal(data: bytes, limits: MediaLimits = LIMITS) -> str:
    with pytest.raises(RequestError) as caught:
        decoded(data, limits)
    assert caught.value.kind is ErrorKind.INVALID
    assert caught.value.param == "videos[0]"
    return caught.value.message.removeprefix("'videos[0]' ")


def brightness(video: Video) -> list[int]:
    """Which frame each is, by how bright its lower half is."""
    return [round(float(frame[-8:, 8:-8].mean()) / 10) for frame in video.frames]


@pytest.mark.parametrize(
    ("muxer", "codec"),
    [("mp4", "libx264"), ("mov", "mpeg4"), ("webm", "libvpx"), ("matroska", "libx264"), ("avi", "mpeg4")],
)
def test_formats(muxer: str, codec: str) -> None:
    video = decoded(film(muxer, codec))

    assert video.frames.shape == (4, 48, 64, 3)
    assert video.frames.dtype == np.uint8
    assert video.indices == (0, 5, 10, 15)
    assert brightness(video) == [0, 5, 10, 15]
    np.testing.assert_allclose(video.times, [0, 0.5, 1.0, 1.5], atol=1e-6)
    assert (video.total_frames, video.source_fps) == (20, 10.0)
    assert abs(video.duration_s - 2.0) < 0.01
    assert video.fps == 2.0
    assert video.audio is None


def test_its_sound() -> None:
    heard = decoded(film(sound_s=1.5), with_audio_hz=16_000).audio

    assert heard is not None
    assert abs(len(heard) / 16_000 - 1.5) < 0.05
    assert decoded(film(), with_audio_hz=16_000).audio is None


@pytest.mark.parametrize(("degrees", "matrix"), [(90, (0, 1, -1, 0)), (180, (-1, 0, 0, -1)), (270, (0, -1, 1, 0))])
def test_turned_phones(degrees: int, matrix: tuple[int, ...]) -> None:
    """MP4 keeps how far the picture is to be turned, clockwise, as a matrix in the track's header."""
    data = film()
    a, b, c, d = (value << 16 for value in matrix)
    plain = struct.pack(">9i", 1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30)
    track = data.index(plain, data.index(b"tkhd"))
    turned = decoded(data[:track] + struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30) + data[track + 36 :])

    np.testing.assert_array_equal(turned.frames[1], np.rot90(decoded(data).frames[1], -degrees // 90))


def test_frames_are_made_smaller_where_all_together_are_too_many_pixels() -> None:
    video = decoded(film(), MediaLimits(max_video_pixels=4 * 64 * 48 // 4))

    assert video.frames.shape == (4, 24, 32, 3)
    assert brightness(video) == [0, 5, 10, 15]


def test_limits() -> None:
    assert "limit of 3071 pixels" in refusal(film(), MediaLimits(max_pixels=64 * 48 - 1))
    assert refusal(film(), MediaLimits(max_seconds=1.5)) == "is too long: the limit is 1.5 seconds."
    assert refusal(film(), MediaLimits(max_decode_s=0.0)).startswith("takes too long to decode.")
    assert len(decoded(film(), MediaLimits(max_frames=3), fps=10).frames) == 2
    assert len(decoded(film(), max_frames=4, fps=10).frames) == 4


def test_a_single_frame() -> None:
    video = decoded(film(frames=1))

    assert (len(video.frames), video.indices, video.total_frames) == (1, (0,), 1)


@pytest.mark.parametrize(("muxer", "codec"), [("mp4", "mpeg4"), ("webm", "libvpx"), ("avi", "mpeg4")])
def test_half_a_file_is_refused(muxer: str, codec: str) -> None:
    whole = film(muxer, codec, frames=60, sound_s=0.0)

    assert "cut short" in refusal(whole[: len(whole) // 2])


@pytest.mark.parametrize(("size", "count"), [(0, 1 << 31), (1, 1 << 24), (100, 10_000_000), (1 << 31, 1 << 31)])
def test_tables_that_promise_more_than_there_is(size: int, count: int) -> None:
    """A few bytes that would become gigabytes of index."""
    data = bytearray(film())
    struct.pack_into(">II", data, data.index(b"stsz") + 8, size, count)

    assert "describes more than it holds" in refusal(bytes(data))


def test_a_description_behind_thousands_of_boxes() -> None:
    data = film()
    hidden = data[:28] + b"\0\0\0\x08free" * (1 << 16) + data[28:]

    assert "describes more than it holds" in refusal(hidden)


def test_a_film_in_pieces() -> None:
    whole = film("mp4", "mpeg4", fragmented=True)
    assert whole.count(b"moof") > 1
    bomb = bytearray(whole)
    at = bomb.index(b"trun")
    struct.pack_into(">II", bomb, at + 4, 0, 100_000_000)

    assert brightness(decoded(whole)) == [0, 5, 10, 15]
    assert "describes more than it holds" in refusal(bytes(bomb))


def test_what_is_no_video() -> None:
    assert refusal(save(picture(), "GIF")) == "holds image/gif, which is not a video."
    assert refusal(sound("m4a")) == "holds audio/mp4, which is not a video."
    assert refusal(b"") == "is empty."


@pytest.mark.parametrize(
    ("total", "source_fps"), [(1, 30.0), (20, 10.0), (61, 29.97), (300, 30.0), (1237, 23.976), (9999, 60.0)]
)
@pytest.mark.parametrize(
    ("fps", "least", "most"), [(2.0, 4, 768), (1.0, 4, 768), (0.1, 4, 16), (60.0, 4, 100), (24.0, 2, 6)]
)
def test_indices_are_those_of_the_reference(total: int, source_fps: float, fps: float, least: int, most: int) -> None:
    expected = reference_indices(total, source_fps, fps, least, most)

    assert sample_indices(total, source_fps, fps, least, most, 2) == expected


def reference_indices(total: int, source_fps: float, fps: float, least: int, most: int) -> list[int]:
    """Of transformers' Qwen2VLVideoProcessor.sample_frames, with numpy in place of torch."""
    most = min(most, total) // 2 * 2
    count = total / source_fps * fps
    count = min(max(count, least), most, total)
    count = int(count // 2 * 2)
    if not count:
        return [0]  # there it divides by zero
    return [int(index) for index in np.arange(0, total, total / count).astype(np.float32)][:count]
