"""Sound on its way to a client: samples from the stages, made into the files that clients ask for.

Codecs and tempo run in threads: a second of sound is milliseconds of work, and the event loop has streams to serve.
Bare samples and WAV at their own speed are no work.
"""

import asyncio
from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from omnipipe.media.encode import AUDIO_FORMATS, AudioEncoder, available_formats, encode_audio
from omnipipe.wire.value import Tensor, Value

__all__ = ["SoundFile", "can_encode", "content_type", "pcm16", "sound_file"]

_PLAIN: Final = frozenset({"wav", "pcm16"})


def can_encode() -> bool:
    """Whether the codec library is installed, which changing the speed needs too."""
    return not available_formats() <= _PLAIN


def content_type(format: str) -> str:
    return AUDIO_FORMATS[format]


def pcm16(value: Value) -> bytes:
    """A piece of an audio output: bytes are PCM already, tensors are samples (i16, or f32 within [-1, 1])."""
    match value:
        case bytes() | bytearray() | memoryview():
            return bytes(value)
        case Tensor(dtype="i16"):
            return bytes(value.data)
        case Tensor(dtype="f32"):
            samples: npt.NDArray[np.int16] = (np.clip(value.numpy(), -1.0, 1.0) * 32767.0).astype("<i2")
            return samples.tobytes()
        case None:
            return b""
        case _:
            raise TypeError(f"an audio output gave {type(value).__name__}, not bytes, i16 or f32 samples")


async def sound_file(pcm: Sequence[bytes], format: str, sample_rate_hz: int, speed: float = 1.0) -> bytes:
    """A whole file, whose header says how long it is."""

    def made() -> bytes:
        return encode_audio(format, b"".join(pcm), sample_rate_hz, speed=speed)

    return made() if _is_light(format, speed) else await asyncio.to_thread(made)


class SoundFile:
    """A file that is sent while it is made: what `push` and `finish` return, joined, is the file."""

    def __init__(self, format: str, sample_rate_hz: int, speed: float = 1.0) -> None:
        self._encoder = AudioEncoder(format, sample_rate_hz, speed=speed)
        self._light = _is_light(format, speed)

    async def push(self, pcm: bytes) -> bytes:
        return self._encoder.push(pcm) if self._light else await asyncio.to_thread(self._encoder.push, pcm)

    async def finish(self) -> bytes:
        return self._encoder.finish() if self._light else await asyncio.to_thread(self._encoder.finish)


def _is_light(format: str, speed: float) -> bool:
    return format in _PLAIN and speed == 1.0
