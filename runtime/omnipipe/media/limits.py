"""How large a piece of media may be."""

from dataclasses import dataclass

__all__ = ["MediaLimits"]


@dataclass(frozen=True, slots=True, kw_only=True)
class MediaLimits:
    """For one piece. The manifest's `spec.gateway.media` sets the first three."""

    max_bytes: int = 64 << 20
    """As it comes, still encoded."""
    max_pixels: int = 1 << 25
    """Of a picture, or of one frame of a video: 34 megapixels. A kilobyte can say that it is one, and while it is
    decoded it takes 9 bytes for each: 300 MB. Models make it smaller than 13 megapixels anyway."""
    max_seconds: float = 1800.0
    """Of sound or video, counted as it is decoded. Half an hour of sound at 16 kHz is 115 MB of samples."""
    max_frames: int = 768
    """That are taken out of one video, whatever a request asks for: what Qwen's processors take at most."""
    max_video_pixels: int = 1 << 27
    """Of all frames taken out of one video together (400 MB as RGB): beyond it they are made smaller as they are
    decoded. Models of the Qwen family make them smaller than that anyway (90 million)."""
    max_decode_s: float = 60.0
    """Wall time that decoding one piece may take, so that no file can hold a stage up for good."""
