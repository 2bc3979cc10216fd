"""Sound and video files opened with FFmpeg, under guard.

FFmpeg is told which demuxer to use (`sniffing` has found it), which decoders may run while it looks at the streams, and
that it may open nothing else: playlists and references to other files lead nowhere.
"""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, TypeVar, cast

from omnipipe.media.boxes import promises_too_much
from omnipipe.media.refusals import Piece
from omnipipe.media.wav import promised_seconds

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.codec.context import CodecContext
    from av.container import InputContainer
    from av.packet import Packet
    from av.video.stream import VideoStream

    StreamT = TypeVar("StreamT", AudioStream, VideoStream)

__all__ = ["Reading", "decoder_of", "open_file", "prepare"]

_AUDIO_DECODERS: Final = (
    "aac", "ac3", "eac3", "alac", "amrnb", "amrwb", "flac", "libopencore_amrnb", "libopencore_amrwb", "libopus",
    "libvorbis", "mp1float", "mp2", "mp2float", "mp3", "mp3float", "opus", "vorbis", "pcm_alaw", "pcm_mulaw",
    "pcm_u8", "pcm_s8", "pcm_s16le", "pcm_s16be", "pcm_s24le", "pcm_s24be", "pcm_s32le", "pcm_s32be", "pcm_f32le",
    "pcm_f32be", "pcm_f64le", "pcm_f64be", "adpcm_ms", "adpcm_ima_wav", "wmav1", "wmav2",
)  # fmt: skip
_VIDEO_DECODERS: Final = (
    "h264", "hevc", "vp8", "vp9", "libvpx", "libvpx-vp9", "libdav1d", "av1", "mpeg4", "mpeg2video", "mpeg1video",
    "theora", "mjpeg", "prores", "h263", "msmpeg4v3", "wmv2", "wmv1",
)  # fmt: skip

_EXACT: Final = frozenset({"mov", "matroska", "flac", "avi", "aiff", "caf"})
"""Demuxers whose headers say how long the file is meant to be, rather than FFmpeg guessing from its size."""


class Reading:
    """One pass through a file."""

    def __init__(self, container: "InputContainer", reader: str, data: bytes, piece: Piece) -> None:
        self.container = container
        self._piece = piece
        self._reached_s = 0.0
        self._packets = 0
        self._counts_samples = reader == "wav"
        self._promised_s = _promised_seconds(container, reader, data)
        piece.check_seconds(self._promised_s or 0.0)

    def packets(self, stream: "StreamT") -> "Iterator[Packet[StreamT]]":
        """Those of one stream, the empty one at the end included, that flushes the decoder. The others are passed
        over, but for how far they reach: the longest stream is the file's length."""
        start_s = (self.container.start_time or 0) / 1_000_000
        for packet in self.container.demux():
            self._piece.check_time()
            stamp = packet.dts if packet.pts is None else packet.pts
            if stamp is not None and packet.time_base is not None:
                end_s = float((stamp + (packet.duration or 0)) * packet.time_base) - start_s
                self._reached_s = max(self._reached_s, end_s)
            if packet.stream_index == stream.index:
                self._packets += 1
                yield cast("Packet[StreamT]", packet)  # which the index says

    def check_whole(self) -> None:
        """After the last packet: whether the file goes on as long as its header says. What it may lack: a quarter of
        a second, or a twentieth, as containers round and pad; and two frames, whose own lengths are often not told. A
        WAV file's header counts samples."""
        if self._promised_s is None:
            return
        slack_s = max(0.25, self._promised_s / 20) + 2 * self._reached_s / max(1, self._packets)
        if self._counts_samples:
            slack_s = min(slack_s, max(0.02, self._promised_s / 20))
        if self._reached_s < self._promised_s - slack_s:
            self._piece.refuse(
                f"is cut short: its header promises {self._promised_s:.1f} seconds and it holds {self._reached_s:.1f}. "
                "Send the whole file"
            )


@contextmanager
def open_file(data: bytes, reader: str, piece: Piece) -> "Iterator[Reading]":
    """Inside `with piece`. `reader`: the demuxer that sniffing has found."""
    import av

    if reader == "mov" and promises_too_much(data):
        piece.refuse("is damaged or cut short: it describes more than it holds, or nothing. Send the whole file")
    options = {
        "codec_whitelist": ",".join((*_AUDIO_DECODERS, *_VIDEO_DECODERS)),
        "format_whitelist": "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,ogg,wav,flac,mp3,aac,aiff,caf,amr",
        "protocol_whitelist": "none",  # there is no such protocol
        "max_pixels": str(piece.limits.max_pixels),
        "max_streams": "32",
        "threads": "1",
    }
    with av.open(io.BytesIO(data), "r", format=reader, options=options, metadata_errors="replace") as container:
        yield Reading(container, reader, data, piece)


def prepare(stream: "AudioStream | VideoStream", piece: Piece, *, threads: int = 1) -> None:
    """Before its first packet."""
    context = decoder_of(stream)
    if context is None or context.codec.name not in (*_AUDIO_DECODERS, *_VIDEO_DECODERS):
        coding = "unknown" if context is None else context.name  # FFmpeg's short name, not the file's own words
        piece.refuse(f"is coded in a way that is not read here ({coding})")
    context.options = {"max_pixels": str(piece.limits.max_pixels)}
    context.thread_count = threads
    context.thread_type = "AUTO"


def decoder_of(stream: "AudioStream | VideoStream") -> "CodecContext | None":
    """None: FFmpeg has none for it, which PyAV's own types overlook."""
    return stream.codec_context


def _promised_seconds(container: "InputContainer", reader: str, data: bytes) -> float | None:
    if reader == "wav":
        return promised_seconds(data)
    if reader not in _EXACT or container.duration is None:
        return None
    return container.duration / 1_000_000
