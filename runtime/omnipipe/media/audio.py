"""Sound: encoded bytes to float32[n], mono, at the rate that a model hears.

Channels are averaged and the rate is changed by soxr, as librosa does it, which is what the models' own processors are
fed by in transformers' examples: the samples are the ones that the reference computes from.
"""

from typing import TYPE_CHECKING, Any, Final

from omnipipe.media.containers import open_file, prepare
from omnipipe.media.limits import MediaLimits
from omnipipe.media.refusals import Piece

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from av.audio.frame import AudioFrame
    from soxr import ResampleStream  # type: ignore[import-untyped]

    Samples = npt.NDArray[np.float32]

__all__ = ["decode_audio", "decode_track"]

_FULL_SCALE: Final = {"u8": 1 << 7, "s16": 1 << 15, "s32": 1 << 31, "s64": 1 << 63}
"""FFmpeg's integer sample formats; the others are floats already."""
_LOUDEST: Final = 1e6
"""Full scale is 1. Files of floats may go beyond it, but not so far that features of them overflow."""
_MAX_RATE_HZ: Final = 768_000


def decode_audio(data: bytes, rate_hz: int, limits: MediaLimits, *, path: str | None = None) -> "Samples":
    """Of a file with several tracks the first; the sound of a video too. Raises RequestError INVALID; `path` is the
    field that it names."""
    with Piece(path, limits) as piece:
        found = piece.expect("audio", data)
        samples = decode_track(data, found.reader, rate_hz, piece)
        if samples is None:
            piece.refuse("has no sound in it")
        return samples


def decode_track(data: bytes, reader: str, rate_hz: int, piece: Piece) -> "Samples | None":
    """The first track of sound; None: there is none. Inside `with piece`."""
    with open_file(data, reader, piece) as file:
        if not file.container.streams.audio:
            return None
        stream = file.container.streams.audio[0]
        prepare(stream, piece)
        track = _Track(rate_hz, piece)
        for packet in file.packets(stream):
            for frame in packet.decode():
                track.add(frame)
        samples = track.finish()
        file.check_whole()
    if not samples.size:
        piece.refuse("has no sound in it")
    return samples


class _Track:
    """Frames in, mono samples at one rate out."""

    def __init__(self, rate_hz: int, piece: Piece) -> None:
        self._rate_hz = rate_hz
        self._piece = piece
        self._source_hz = 0
        self._resampler: ResampleStream | None = None
        self._done: list[Samples] = []
        self._seconds = 0.0

    def add(self, frame: "AudioFrame") -> None:
        if frame.sample_rate != self._source_hz:
            self._end_of_rate()
            self._begin_rate(frame.sample_rate)
        self._seconds += frame.samples / frame.sample_rate
        self._piece.check_seconds(self._seconds)
        self._keep(_mono(frame, self._piece), last=False)

    def finish(self) -> "Samples":
        import numpy as np

        self._end_of_rate()
        return np.concatenate(self._done) if self._done else np.zeros(0, np.float32)

    def _begin_rate(self, source_hz: int) -> None:
        """At the first frame, and where a stream is made of several files one after another."""
        from soxr import ResampleStream

        if not 0 < source_hz <= _MAX_RATE_HZ:
            self._piece.refuse("has a sample rate that no sound has")
        self._source_hz = source_hz
        if source_hz != self._rate_hz:
            self._resampler = ResampleStream(source_hz, self._rate_hz, 1, dtype="float32", quality="HQ")

    def _end_of_rate(self) -> None:
        import numpy as np

        if self._resampler is not None:
            self._keep(np.zeros(0, np.float32), last=True)
            self._resampler = None

    def _keep(self, samples: "Samples", *, last: bool) -> None:
        if self._resampler is not None:
            samples = self._resampler.resample_chunk(samples, last=last)
        if samples.size:
            self._done.append(samples)


def _mono(frame: "AudioFrame", piece: Piece) -> "Samples":
    import numpy as np

    samples: npt.NDArray[Any] = frame.to_ndarray()
    if not frame.format.is_planar:
        samples = samples.reshape(-1, frame.layout.nb_channels).T
    kind = frame.format.packed.name
    full_scale = _FULL_SCALE.get(kind)
    if full_scale is not None:
        exact = np.float32 if full_scale <= 1 << 15 else np.float64
        samples = np.multiply(samples, 1.0 / full_scale, dtype=exact)
        if kind == "u8":
            samples -= 1.0
    elif not (np.abs(samples) <= _LOUDEST).all():  # also of what is no number
        piece.refuse("has samples in it that are no sound")
    mono: Samples = samples.mean(axis=0, dtype=np.float32) if len(samples) > 1 else samples[0].astype(np.float32)
    return mono
