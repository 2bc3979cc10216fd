"""Small pictures, clips and videos, encoded as clients send them."""

import io
import wave
from fractions import Fraction
from typing import Any

import av
import numpy as np
import numpy.typing as npt
from PIL import Image

__all__ = ["make_clip", "make_picture", "make_video"]


def make_picture(width: int = 90, height: int = 70, seed: int = 0) -> bytes:
    """A PNG of blocks of colour."""
    rng = np.random.default_rng(seed)
    small = rng.integers(0, 256, (max(1, height // 10), max(1, width // 10), 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(small).resize((width, height), Image.Resampling.NEAREST).save(file, "PNG")
    return file.getvalue()


def make_clip(seconds: float = 1.5, hz: float = 440.0, rate_hz: int = 16_000) -> bytes:
    """A WAV of one tone with a little noise."""
    file = io.BytesIO()
    with wave.open(file, "wb") as written:
        written.setnchannels(1)
        written.setsampwidth(2)
        written.setframerate(rate_hz)
        written.writeframes(_tone(seconds, hz, rate_hz).tobytes())
    return file.getvalue()


def make_video(frames: int = 24, fps: int = 8, *, sound: bool = False, seed: int = 0) -> bytes:
    """An MP4 of 64 by 48 pixels, with a tone under it or without."""
    rng = np.random.default_rng(seed)
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as container:
        shown = container.add_stream("mpeg4", rate=fps)
        shown.width, shown.height, shown.pix_fmt = 64, 48, "yuv420p"
        heard = container.add_stream("aac", rate=16_000) if sound else None
        base = rng.integers(0, 256, (48, 64, 3), dtype=np.uint8)
        for index in range(frames):
            picture = av.VideoFrame.from_ndarray(np.roll(base, index, axis=1), format="rgb24")
            picture.pts, picture.time_base = index, Fraction(1, fps)
            container.mux(shown.encode(picture))
        container.mux(shown.encode(None))
        if heard is not None:
            samples = _tone(frames / fps, 330.0, 16_000).astype(np.float32) / 32768
            for start in range(0, samples.size, 1024):
                piece = av.AudioFrame.from_ndarray(samples[None, start : start + 1024], format="fltp", layout="mono")
                piece.sample_rate, piece.pts, piece.time_base = 16_000, start, Fraction(1, 16_000)
                container.mux(heard.encode(piece))
            container.mux(heard.encode(None))
    return file.getvalue()


def _tone(seconds: float, hz: float, rate_hz: int) -> npt.NDArray[Any]:
    at = np.arange(int(seconds * rate_hz)) / rate_hz
    noise = np.random.default_rng(0).standard_normal(at.size) * 0.01
    return ((0.3 * np.sin(2 * np.pi * hz * at) + noise) * 32767).astype("<i2")
