"""Small pieces of media, made here with the libraries that read them."""

import io
import struct
import zlib
from collections.abc import Mapping
from fractions import Fraction
from functools import cache
from typing import Any

import av
import numpy as np
import numpy.typing as npt
from av.audio.stream import AudioStream
from av.video.stream import VideoStream
from PIL import Image

__all__ = ["SOUNDS", "film", "picture", "png_of_size", "save", "sound", "tone"]

SOUNDS: Mapping[str, tuple[str, str]] = {
    "wav": ("wav", "pcm_s16le"),
    "float": ("wav", "pcm_f32le"),
    "byte": ("wav", "pcm_u8"),
    "wide": ("wav", "pcm_s24le"),
    "mp3": ("mp3", "libmp3lame"),
    "flac": ("flac", "flac"),
    "opus": ("ogg", "libopus"),
    "aac": ("adts", "aac"),
    "m4a": ("mp4", "aac"),
    "webm": ("webm", "libopus"),
    "aiff": ("aiff", "pcm_s16be"),
}
"""Name -> muxer and codec."""


def tone(seconds: float, rate_hz: int, pitch_hz: float = 440.0) -> npt.NDArray[np.int16]:
    samples: npt.NDArray[np.int16] = (
        np.sin(2 * np.pi * pitch_hz * np.arange(round(seconds * rate_hz)) / rate_hz) * 16_000
    ).astype(np.int16)
    return samples


@cache
def sound(name: str, seconds: float = 0.5, rate_hz: int = 48_000) -> bytes:
    muxer, codec = SOUNDS[name]
    file = io.BytesIO()
    with av.open(file, "w", format=muxer) as container:
        stream = container.add_stream(codec, rate=rate_hz)
        assert isinstance(stream, AudioStream)
        stream.layout = "mono"
        _add_tone(container, stream, seconds, rate_hz)
    return file.getvalue()


@cache
def film(
    muxer: str = "mp4",
    codec: str = "mpeg4",
    *,
    frames: int = 20,
    fps: int = 10,
    width: int = 64,
    height: int = 48,
    sound_s: float = 0.0,
    fragmented: bool = False,
) -> bytes:
    """Frame n is grey, of brightness 10 n; the upper half is 5 brighter, so that up and down can be told apart."""
    file = io.BytesIO()
    options = {"movflags": "frag_every_frame+empty_moov"} if fragmented else {}
    with av.open(file, "w", format=muxer, container_options=options) as container:
        stream = container.add_stream(codec, rate=fps)
        assert isinstance(stream, VideoStream)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        heard = container.add_stream("libopus" if muxer == "webm" else "aac", rate=48_000) if sound_s else None
        if isinstance(heard, AudioStream):
            heard.layout = "mono"
        for number in range(frames):
            pixels = np.full((height, width, 3), 10 * number % 250, np.uint8)
            pixels[: height // 2] += 5
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, fps)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
        if isinstance(heard, AudioStream):
            _add_tone(container, heard, sound_s, 48_000)
    return file.getvalue()


def picture(width: int = 6, height: int = 4, mode: str = "RGB") -> Image.Image:
    """Red on the left, blue on the right, the top row green."""
    image = Image.new("RGB", (width, height), (255, 0, 0))
    image.paste((0, 0, 255), (width // 2, 0, width, height))
    image.paste((0, 255, 0), (0, 0, width, 1))
    return image if mode == "RGB" else image.convert(mode)


def save(image: Image.Image, format: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, format, **options)
    return file.getvalue()


def png_of_size(width: int, height: int) -> bytes:
    """A PNG of a hundred bytes whose header says that it is that large."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(bytes(64))), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in chunks
    )


def _add_tone(container: Any, stream: AudioStream, seconds: float, rate_hz: int) -> None:
    frame = av.AudioFrame.from_ndarray(tone(seconds, rate_hz)[None], format="s16", layout="mono")
    frame.sample_rate, frame.pts = rate_hz, 0
    container.mux(stream.encode(frame))
    container.mux(stream.encode(None))
