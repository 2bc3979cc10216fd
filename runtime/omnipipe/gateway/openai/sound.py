"""Audio as OpenAI's chat carries it: 16 bit little-endian mono PCM, bare or in a WAV file. Anything that needs a codec
is not offered."""

import struct
from typing import Final

import numpy as np
import numpy.typing as npt

from omnipipe.wire.value import Tensor, Value

__all__ = ["FORMATS", "pcm16", "wav"]

FORMATS: Final = frozenset({"wav", "pcm16"})

_BYTES_PER_SAMPLE = 2
_HEADER_BYTES = 44


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


def wav(pcm: bytes, sample_rate_hz: int) -> bytes:
    """A canonical RIFF/WAVE file around PCM samples."""
    header = struct.pack(
        "<4sI4s4sIHHIIHH4sI",
        b"RIFF", _HEADER_BYTES - 8 + len(pcm), b"WAVE",
        b"fmt ", 16, 1, 1, sample_rate_hz, sample_rate_hz * _BYTES_PER_SAMPLE, _BYTES_PER_SAMPLE, 16,
        b"data", len(pcm),
    )  # fmt: skip
    return header + pcm
