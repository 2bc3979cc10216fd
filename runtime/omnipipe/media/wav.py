"""RIFF/WAVE by hand: a header is 44 bytes, and to write or check one needs no codec library."""

import struct
from typing import Final

__all__ = ["UNKNOWN_BYTES", "promised_seconds", "wav_header"]

UNKNOWN_BYTES: Final = 0xFFFF_FFFF
"""The length in the header of a stream whose end is not known yet; readers then read to the end."""

_HEADER: Final = struct.Struct("<4sI4s4sIHHIIHH4sI")
_SAMPLE_BYTES: Final = 2
_MAX_HONEST: Final = 0x7FFF_0000
"""Writers that do not know the length put numbers from here on, or 0."""


def wav_header(pcm_bytes: int, rate_hz: int, channels: int = 1) -> bytes:
    """For 16 bit samples. `pcm_bytes` may be UNKNOWN_BYTES."""
    frame = channels * _SAMPLE_BYTES
    whole = min(UNKNOWN_BYTES, pcm_bytes + _HEADER.size - 8)
    return _HEADER.pack(
        b"RIFF", whole, b"WAVE",
        b"fmt ", 16, 1, channels, rate_hz, rate_hz * frame, frame, 16,
        b"data", pcm_bytes,
    )  # fmt: skip


def promised_seconds(data: bytes) -> float | None:
    """How long a WAV file's header says that it is; None: it does not say. (FFmpeg shortens it to what is there.)"""
    at, bytes_per_second = 12, 0
    while at + 8 <= len(data):
        name, size = struct.unpack_from("<4sI", data, at)
        if name == b"fmt " and at + 20 <= len(data):
            (bytes_per_second,) = struct.unpack_from("<I", data, at + 16)
        elif name == b"data":
            return size / bytes_per_second if bytes_per_second and 0 < size < _MAX_HONEST else None
        at += 8 + size + size % 2
    return None
