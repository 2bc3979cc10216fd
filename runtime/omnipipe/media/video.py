"""Video: encoded bytes to a few frames, evenly spaced, with the times at which they are shown, and its sound.

Which frames is decided as transformers' Qwen video processors decide it, on what the file really holds: all packets are
looked at once without decoding, for headers lie about how many there are.
"""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from omnipipe.media.audio import decode_track
from omnipipe.media.containers import decoder_of, open_file, prepare
from omnipipe.media.limits import MediaLimits
from omnipipe.media.refusals import Piece

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

__all__ = ["Video", "decode_video", "sample_indices"]

_THREADS: Final = 2
"""Of FFmpeg, for one video: each holds frames of its own."""
_MAX_FPS: Final = 1000.0


@dataclass(frozen=True, slots=True)
class Video:
    frames: "npt.NDArray[np.uint8]"
    """[n, height, width, 3], upright."""
    times: "npt.NDArray[np.float64]"
    """[n]: seconds from the first frame of the video to each of `frames`, as the file says, not as computed."""
    indices: tuple[int, ...]
    """Which of the video's frames they are."""
    total_frames: int
    source_fps: float
    """Frames a second of the file, on average."""
    duration_s: float
    audio: "npt.NDArray[np.float32] | None" = None
    """Mono, at the rate that was asked for. None: not asked for, or there is none."""

    @property
    def fps(self) -> float:
        """Frames a second of `frames`, on average."""
        return len(self.frames) * self.source_fps / self.total_frames


@dataclass(frozen=True, slots=True)
class _Timeline:
    """What the packets say, undecoded."""

    total: int
    fps: float
    duration_s: float


def decode_video(
    data: bytes,
    limits: MediaLimits,
    *,
    fps: float,
    min_frames: int,
    max_frames: int,
    multiple: int = 2,
    with_audio_hz: int | None = None,
    path: str | None = None,
) -> Video:
    """`fps` frames of each second, at least `min_frames` and at most `max_frames` (and `limits.max_frames`), rounded
    down to a multiple of `multiple`; at least one. Where these would be more pixels than `limits.max_video_pixels`,
    they are scaled down together. Raises RequestError INVALID; `path` is the field that it names."""
    with Piece(path, limits) as piece:
        reader = piece.expect("video", data).reader
        timeline = _timeline(data, reader, piece)
        most = min(max_frames, limits.max_frames)
        indices = sample_indices(timeline.total, timeline.fps, fps, min_frames, most, multiple)
        frames, times = _decode(data, reader, indices, piece)
        audio = None if with_audio_hz is None else decode_track(data, reader, with_audio_hz, piece)
        return Video(
            frames,
            times,
            tuple(indices[: len(frames)]),
            timeline.total,
            timeline.fps,
            timeline.duration_s,
            audio,
        )


def sample_indices(
    total: int, source_fps: float, fps: float, min_frames: int, max_frames: int, multiple: int
) -> list[int]:
    """Qwen2VLVideoProcessor.sample_frames, but that a video with less than `multiple` frames has one."""
    import numpy as np

    most = min(max_frames, total) // multiple * multiple
    wanted = min(max(total / source_fps * fps, min_frames), most, total)
    count = max(1, math.floor(wanted / multiple) * multiple)
    # In single precision, as torch.arange computes it there: some indices come out one higher than in double.
    steps = np.arange(0, total, total / count).astype(np.float32).astype(np.int64)
    return [min(int(step), total - 1) for step in steps[:count]]


def _timeline(data: bytes, reader: str, piece: Piece) -> _Timeline:
    with open_file(data, reader, piece) as file:
        stream = _video_stream(file.container.streams.video, piece)
        piece.check_pixels(stream.width, stream.height)
        total, first, last, end = 0, math.inf, -math.inf, -math.inf
        base = float(stream.time_base or 0)
        for packet in file.packets(stream):
            if not packet.size:
                continue
            total += 1
            stamp = packet.dts if packet.pts is None else packet.pts
            if stamp is not None:
                first, last = min(first, stamp * base), max(last, stamp * base)
                end = max(end, (stamp + (packet.duration or 0)) * base)
                piece.check_seconds(last - first)
        claimed = float(stream.average_rate or 0)
        file.check_whole()
    if not total:
        piece.refuse("has no frames in it")
    shown = end - first if end > last else (last - first) * total / max(1, total - 1)
    if not (math.isfinite(shown) and shown > 0):
        shown = total / claimed if claimed > 0 else float(total)
    piece.check_seconds(shown)
    return _Timeline(total, _rate(total / shown, claimed), shown)


def _rate(measured: float, claimed: float) -> float:
    """The header's, where it agrees with the packets: their times are rounded, and half a frame more or less would
    change how many are taken."""
    rate = claimed if abs(measured - claimed) <= 0.02 * measured + 0.1 else measured
    return min(rate, _MAX_FPS)


def _decode(
    data: bytes, reader: str, indices: list[int], piece: Piece
) -> "tuple[npt.NDArray[np.uint8], npt.NDArray[np.float64]]":
    import numpy as np

    wanted = frozenset(indices)
    kept: npt.NDArray[np.uint8] | None = None  # one array from the first frame on, not a second copy at the end
    times: list[float] = []
    size: tuple[int, int] | None = None
    start: float | None = None
    with open_file(data, reader, piece) as file:
        stream = _video_stream(file.container.streams.video, piece)
        prepare(stream, piece, threads=_THREADS)
        seen = 0
        for packet in file.packets(stream):
            for frame in packet.decode():
                if start is None:
                    start = frame.time or 0.0
                if seen in wanted:
                    size = size or _frame_size(frame, len(indices), piece)
                    pixels = _rgb(frame, size)
                    if kept is None:
                        kept = np.empty((len(indices), *pixels.shape), np.uint8)
                    kept[len(times)] = pixels
                    times.append((frame.time or 0.0) - start)
                seen += 1
            if len(times) == len(wanted):
                break
    if kept is None:
        piece.refuse("has no frames in it that can be decoded")
    return kept[: len(times)], np.array(times)


def _video_stream(streams: "tuple[VideoStream, ...]", piece: Piece) -> "VideoStream":
    """The first that moves; cover pictures of music files are streams too."""
    moving = (stream for stream in streams if not stream.disposition & stream.disposition.attached_pic)
    stream = next(moving, None)
    if stream is None or decoder_of(stream) is None:
        piece.refuse("has no moving pictures in it that are read here")
    return stream


def _frame_size(frame: "VideoFrame", count: int, piece: Piece) -> tuple[int, int]:
    """Width and height to take the frames in, before they are turned upright."""
    piece.check_pixels(frame.width, frame.height)
    whole = frame.width * frame.height * count
    if whole <= piece.limits.max_video_pixels:
        return frame.width, frame.height
    scale = math.sqrt(piece.limits.max_video_pixels / whole)
    return max(1, int(frame.width * scale)), max(1, int(frame.height * scale))


def _rgb(frame: "VideoFrame", size: tuple[int, int]) -> "npt.NDArray[np.uint8]":
    """Frames whose size changes in mid-stream are brought to that of the first."""
    import numpy as np

    width, height = size
    turns = round(frame.rotation / 90) % 4
    if (width, height) == (frame.width, frame.height):
        pixels: npt.NDArray[Any] = frame.to_ndarray(format="rgb24")
    else:
        pixels = frame.to_ndarray(format="rgb24", width=width, height=height, interpolation="AREA")
    return np.ascontiguousarray(np.rot90(pixels, turns)) if turns else pixels
