"""Faster or slower at the same pitch: FFmpeg's atempo. Imported only where it is asked for: it needs PyAV."""

import math
from fractions import Fraction
from typing import Final

import av
from av.filter import Graph

from omnipipe.media.frames import LAYOUTS, pcm_frame

__all__ = ["Tempo"]

_TAIL_S: Final = 0.1
"""Of silence after the end: the filter keeps back what it has too little behind to overlap with."""


class Tempo:
    def __init__(self, rate_hz: int, channels: int, speed: float) -> None:
        self._rate_hz = rate_hz
        self._channels = channels
        self._frame_bytes = 2 * channels
        self._speed = speed
        self._sent = 0
        self._given = 0
        graph = Graph()
        base = Fraction(1, rate_hz)
        nodes = [graph.add_abuffer(sample_rate=rate_hz, format="s16", layout=LAYOUTS[channels], time_base=base)]
        # One instance goes from half to twice the speed without leaving samples out; beyond that two share it.
        steps = 1 if 0.5 <= speed <= 2.0 else 2
        nodes += [graph.add("atempo", f"{math.pow(speed, 1 / steps):.6f}") for _ in range(steps)]
        graph.link_nodes(*nodes, graph.add("abuffersink")).configure()
        self._graph = graph

    def push(self, pcm: bytes) -> bytes:
        frame = pcm_frame(pcm, self._rate_hz, self._channels, self._sent)
        self._sent += frame.samples
        self._graph.push(frame)
        return self._pull()

    def finish(self) -> bytes:
        """Together with what came before it as long as it should be, to the sample."""
        if not self._sent:
            return b""
        left = max(0, round(self._sent / self._speed) - self._given)
        silence = bytes(math.ceil(_TAIL_S * self._rate_hz) * self._frame_bytes)
        self._graph.push(pcm_frame(silence, self._rate_hz, self._channels, self._sent))
        self._graph.push(None)
        return self._pull()[: left * self._frame_bytes]

    def _pull(self) -> bytes:
        """What has come through so far."""
        ready = bytearray()
        while True:
            try:
                frame = self._graph.pull()
            except (av.BlockingIOError, av.EOFError):
                self._given += len(ready) // self._frame_bytes
                return bytes(ready)
            ready += frame.to_ndarray().tobytes()
