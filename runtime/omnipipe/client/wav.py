"""16 bit sound in pieces: WAV headers taken off wherever one begins a piece, and no sample cut in two.

The API sends headerless samples. Servers of the same protocol send a header first, or one with each piece; played as
samples they would click.
"""

import io
import struct
import wave

from omnipipe.client.errors import BadAnswer

__all__ = ["SAMPLE_BYTES", "Samples", "wav_bytes"]

SAMPLE_BYTES = 2
MAX_HEADER_BYTES = 1 << 16
_ENDLESS = 0x7FFFF000
"""Sizes from here on, and 0, stand for "until the end" in headers that were written before the sound was."""
_PCM, _EXTENSIBLE = 1, 0xFFFE


def wav_bytes(pcm: bytes, sample_rate: int, channels: int) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(channels)
        out.setsampwidth(SAMPLE_BYTES)
        out.setframerate(sample_rate)
        out.writeframes(pcm)
    return file.getvalue()


class Samples:
    """The samples of one output."""

    def __init__(self) -> None:
        self.rate: int | None = None
        self.channels: int | None = None
        """Both from a header; None: none has come."""
        self._header = b""
        """The beginning of one that is not whole yet."""
        self._size: int | None = None
        """Bytes of sound that the last header still promises; None: it promised nothing."""
        self._cut = b""
        """The beginning of a frame (one sample of each channel)."""

    def feed(self, data: bytes, channels: int) -> bytes:
        """Whole frames. `channels`: where no header says."""
        data = self._unwrap(self._header + data)
        frame = SAMPLE_BYTES * (self.channels or channels)
        data = self._cut + data
        whole = len(data) - len(data) % frame
        self._cut = data[whole:]
        return data[:whole]

    def end(self) -> None:
        if self._header or self._cut:
            raise BadAnswer("the sound ends inside a sample or a WAV header")

    def _unwrap(self, data: bytes) -> bytes:
        """What of `data`, which begins with a piece, is sound."""
        self._header = b""
        if len(data) < 12 and data and b"RIFF".startswith(data[:4]):
            self._header = data  # a few bytes: what follows will tell
            return b""
        if data[:4] == b"RIFF" and data[8:12] == b"WAVE":
            begin = self._read_header(data)
            if begin is None:
                if len(data) > MAX_HEADER_BYTES:
                    raise BadAnswer("a WAV header in the sound does not end")
                self._header = data
                return b""
            data = data[begin:]
        if not self._size:  # none, or all of it has come: whatever follows is sound
            return data
        sound, self._size = data[: self._size], max(0, self._size - len(data))
        return sound  # the rest is what a file has after its sound: notes, tags

    def _read_header(self, data: bytes) -> int | None:
        """Where the sound begins; None: further on than what is here."""
        at, known = 12, False
        while len(data) >= at + 8:
            name, size = struct.unpack_from("<4sI", data, at)
            at += 8
            if name == b"data":
                if not known:
                    raise BadAnswer("a WAV header in the sound does not say what sound it is")
                self._size = None if size == 0 or size >= _ENDLESS else size
                return at
            if len(data) < at + size:
                return None
            if name == b"fmt ":
                self._read_format(data[at : at + size])
                known = True
            at += size + size % 2
        return None

    def _read_format(self, fields: bytes) -> None:
        if len(fields) < 16:
            raise BadAnswer("a WAV header in the sound is too short")
        tag, channels, rate, _, _, bits = struct.unpack_from("<HHIIHH", fields)
        if tag == _EXTENSIBLE and len(fields) >= 26:
            (tag,) = struct.unpack_from("<H", fields, 24)
        if tag != _PCM or bits != 8 * SAMPLE_BYTES or not channels or not rate:
            raise BadAnswer(f"sound of {bits} bits (WAV format {tag}) came; 16 bit samples are what this client reads")
        self.rate, self.channels = rate, channels
