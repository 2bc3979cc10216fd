"""16 bit samples as FFmpeg's frames. Imported only where something is encoded: it needs PyAV."""

from fractions import Fraction
from typing import Final

import numpy as np
from av.audio.frame import AudioFrame

__all__ = ["LAYOUTS", "pcm_frame"]

LAYOUTS: Final = {1: "mono", 2: "stereo"}


def pcm_frame(pcm: bytes, rate_hz: int, channels: int, sent: int) -> AudioFrame:
    """`sent`: samples of each channel before these."""
    samples = np.frombuffer(pcm, "<i2").reshape(1, -1)
    frame = AudioFrame.from_ndarray(samples, format="s16", layout=LAYOUTS[channels])
    frame.sample_rate = rate_hz
    frame.pts = sent
    frame.time_base = Fraction(1, rate_hz)
    return frame
