"""Samples into a coded file, piece by piece. Imported only where a codec is needed: it needs PyAV."""

import io
from dataclasses import dataclass, field
from typing import Final

import av
from av.audio.stream import AudioStream

from omnipipe.media.frames import LAYOUTS, pcm_frame

__all__ = ["CodecWriter"]


@dataclass(frozen=True, slots=True)
class _Coding:
    muxer: str
    codec: str
    bits_per_channel: int = 0
    """A second. 0: the coding keeps everything."""
    rates_hz: tuple[int, ...] = ()
    """That it can have, rising; sound at another rate goes to a multiple, or the next higher. Empty: any."""
    options: dict[str, str] = field(default_factory=dict)


_MPEG_RATES: Final = (44_100, 48_000)
"""They could be lower, but their frames have a fixed number of samples, and a stream cannot say how much silence it
begins and ends with: at 24 kHz that is up to 90 ms, at 48 kHz up to 45."""
_MIN_S: Final = 0.02
"""What is written, in silence, when there is no sound at all: players take an empty file for a broken one."""

_CODINGS: Final = {
    "mp3": _Coding("mp3", "libmp3lame", 96_000, _MPEG_RATES),
    "flac": _Coding("flac", "flac", options={"metadata_header_padding": "0"}),
    # A page of Ogg is a second long unless it is told otherwise: much too late for somebody who waits for it.
    "opus": _Coding("ogg", "libopus", 64_000, (8_000, 12_000, 16_000, 24_000, 48_000), {"page_duration": "60000"}),
    "aac": _Coding("adts", "aac", 96_000, _MPEG_RATES),
}


class CodecWriter:
    def __init__(self, format: str, rate_hz: int, channels: int, streamed: bool) -> None:
        coding = _CODINGS[format]
        self._rate_hz = rate_hz
        self._channels = channels
        self._sent = 0
        self._sink = _Stream() if streamed else io.BytesIO()
        options = {"flush_packets": "1", **coding.options}
        self._container = av.open(self._sink, "w", format=coding.muxer, container_options=options)
        stream = self._container.add_stream(coding.codec, rate=_coded_rate(rate_hz, coding))
        assert isinstance(stream, AudioStream), "each of the codecs is one of sound"
        self._stream = stream
        self._stream.layout = LAYOUTS[channels]
        if coding.bits_per_channel:
            self._stream.bit_rate = coding.bits_per_channel * channels

    def push(self, pcm: bytes) -> bytes:
        frame = pcm_frame(pcm, self._rate_hz, self._channels, self._sent)
        self._sent += frame.samples
        self._container.mux(self._stream.encode(frame))
        return self._taken()

    def finish(self) -> bytes:
        head = b"" if self._sent else self.push(bytes(int(_MIN_S * self._rate_hz) * 2 * self._channels))
        self._container.mux(self._stream.encode(None))
        self._container.close()
        return head + (self._sink.getvalue() if isinstance(self._sink, io.BytesIO) else self._sink.take())

    def _taken(self) -> bytes:
        return b"" if isinstance(self._sink, io.BytesIO) else self._sink.take()


class _Stream:
    """Where FFmpeg writes to: it cannot go back, so headers with a length in them are written without."""

    def __init__(self) -> None:
        self._written = bytearray()

    def write(self, data: bytes) -> int:
        self._written += data
        return len(data)

    def take(self) -> bytes:
        taken = bytes(self._written)
        self._written.clear()
        return taken


def _coded_rate(rate_hz: int, coding: _Coding) -> int:
    if not coding.rates_hz:
        return rate_hz
    fitting = [rate for rate in coding.rates_hz if rate % rate_hz == 0]
    higher = [rate for rate in coding.rates_hz if rate > rate_hz]
    return next(iter((*fitting, *higher)), coding.rates_hz[-1])
