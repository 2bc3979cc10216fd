"""Samples to bytes of sound, while they are still being made.

    encoder = AudioEncoder("mp3", 24_000)
    for pcm in pieces:
        send(encoder.push(pcm))         # often b"": codecs work in frames
    send(encoder.finish())

What a push gives back is ready to be sent at once; the codecs hold back no more than their frame (some tens of
milliseconds). Encoding takes a few milliseconds for a second of sound, with the GIL released: fine in a thread, and not
much on an event loop.
"""

from collections.abc import Mapping
from functools import cache
from importlib.util import find_spec
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from omnipipe.media.wav import UNKNOWN_BYTES, wav_header

if TYPE_CHECKING:
    from omnipipe.media.codecs import CodecWriter
    from omnipipe.media.tempo import Tempo

__all__ = ["AUDIO_FORMATS", "AudioEncoder", "available_formats", "encode_audio"]

AUDIO_FORMATS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "wav": "audio/wav",
        "pcm16": "audio/pcm",
        "mp3": "audio/mpeg",
        "flac": "audio/flac",
        "opus": "audio/ogg",
        "aac": "audio/aac",
    }
)
"""Format -> content type. pcm16: samples alone, little-endian; opus: in Ogg; aac: in ADTS."""

_BARE: Final = frozenset({"wav", "pcm16"})
_SLOWEST: Final = 0.25
_FASTEST: Final = 4.0


@cache
def available_formats() -> frozenset[str]:
    """Those that this process can make: all with PyAV installed, wav and pcm16 without."""
    return frozenset(AUDIO_FORMATS) if find_spec("av") else _BARE


class AudioEncoder:
    """One piece of sound. Not for several threads at once."""

    def __init__(
        self, format: str, rate_hz: int, channels: int = 1, speed: float = 1.0, *, streamed: bool = True
    ) -> None:
        """`speed`: 0.25 to 4 times as fast, at the same pitch. Not `streamed`: nothing comes before `finish`, and in
        return the file's header says how long it is."""
        if format not in AUDIO_FORMATS:
            raise ValueError(f"no audio format {format!r}; there are {', '.join(AUDIO_FORMATS)}")
        if not _SLOWEST <= speed <= _FASTEST:
            raise ValueError(f"speed must be {_SLOWEST} to {_FASTEST}, not {speed}")
        if channels not in (1, 2):
            raise ValueError(f"sound has 1 or 2 channels here, not {channels}")
        self._format = format
        self._rate_hz = rate_hz
        self._channels = channels
        self._streamed = streamed
        self._tempo = _tempo(rate_hz, channels, speed)
        self._writer = None if format in _BARE else _writer(format, rate_hz, channels, streamed)
        self._odd = b""
        """The beginning of a sample whose end has not come."""
        self._held = bytearray()
        self._begun = False

    def push(self, pcm_i16: bytes) -> bytes:
        """The next samples, 16 bit little-endian, channels interleaved. They may be cut anywhere."""
        pcm = self._odd + pcm_i16 if self._odd else pcm_i16
        whole = len(pcm) - len(pcm) % (2 * self._channels)
        self._odd = pcm[whole:]
        pcm = pcm[:whole]
        if self._tempo is not None and pcm:
            pcm = self._tempo.push(pcm)
        return self._encoded(pcm) if pcm else b""

    def finish(self) -> bytes:
        """The rest. Nothing can be pushed after it."""
        rest = b"" if self._tempo is None else self._tempo.finish()
        if self._writer is not None:
            return self._encoded(rest) + self._writer.finish()
        if self._streamed:
            return self._encoded(rest)
        pcm = bytes(self._held) + rest
        return self._head(len(pcm)) + pcm

    def _encoded(self, pcm: bytes) -> bytes:
        if self._writer is not None:
            return self._writer.push(pcm) if pcm else b""
        if not self._streamed:
            self._held += pcm
            return b""
        head = b"" if self._begun else self._head(UNKNOWN_BYTES)
        self._begun = True
        return head + pcm

    def _head(self, pcm_bytes: int) -> bytes:
        return wav_header(pcm_bytes, self._rate_hz, self._channels) if self._format == "wav" else b""


def encode_audio(format: str, pcm_i16: bytes, rate_hz: int, channels: int = 1, speed: float = 1.0) -> bytes:
    """A whole file, whose header says how long it is."""
    encoder = AudioEncoder(format, rate_hz, channels, speed, streamed=False)
    return encoder.push(pcm_i16) + encoder.finish()


def _tempo(rate_hz: int, channels: int, speed: float) -> "Tempo | None":
    if speed == 1.0:
        return None
    from omnipipe.media.tempo import Tempo

    return Tempo(rate_hz, channels, speed)


def _writer(format: str, rate_hz: int, channels: int, streamed: bool) -> "CodecWriter":
    from omnipipe.media.codecs import CodecWriter

    return CodecWriter(format, rate_hz, channels, streamed)
