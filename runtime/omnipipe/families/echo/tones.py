"""What a word sounds like: a note of a pentatonic scale, so that any sentence is a tune and none hurts the ear."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Final
from zlib import crc32

__all__ = ["SAMPLE_RATE_HZ", "VOICES", "pitches", "tone"]

SAMPLE_RATE_HZ: Final = 24_000

VOICES: Final[dict[str, tuple[float, tuple[float, ...]]]] = {
    "alloy": (1.0, (1.0,)),
    "cello": (0.5, (1.0, 0.5, 0.33, 0.25)),
    "flute": (2.0, (1.0, 0.1)),
    "organ": (1.0, (1.0, 0.6, 0.0, 0.4)),
}
"""Voice -> factor on the pitch, strength of each harmonic."""

_SCALE_HZ: Final = (261.63, 293.66, 329.63, 392.0, 440.0, 523.25, 587.33, 659.26)
_TONE_MS: Final = (120, 24, 8)
"""Length of a word of no letters, what each letter adds, and how many letters count."""
_FADE_MS: Final = 8
"""In and out, for a wave that begins or ends abruptly clicks."""
_LOUDNESS: Final = 0.3
_REST_MS: Final = 20
"""What an answer without words sounds like: a moment of silence, for a file of no samples upsets players."""


def pitches(words: Sequence[str]) -> list[float]:
    """A frequency for each word, always the same one; case and punctuation do not matter."""
    return [_SCALE_HZ[crc32(_letters(word).encode()) % len(_SCALE_HZ)] for word in words]


def tone(word: str, hz: float, voice: str) -> bytes:
    """16 bit little-endian samples, mono, `SAMPLE_RATE_HZ`."""
    letters = len(_letters(word))
    if not word.strip():
        return bytes(2 * SAMPLE_RATE_HZ * _REST_MS // 1000)
    base, step, most = _TONE_MS
    return _wave(hz, base + step * min(letters, most), voice)


def _letters(word: str) -> str:
    return "".join(filter(str.isalnum, word)).lower()


@lru_cache(maxsize=512)
def _wave(hz: float, ms: int, voice: str) -> bytes:
    import numpy as np  # only this stage needs it, and only for audio: a text-only start does without

    factor, harmonics = VOICES[voice]
    at = np.arange(SAMPLE_RATE_HZ * ms // 1000) / SAMPLE_RATE_HZ
    wave = np.zeros_like(at)
    for number, strength in enumerate(harmonics, start=1):
        wave += strength / sum(harmonics) * np.sin(2 * np.pi * hz * factor * number * at)
    fade = SAMPLE_RATE_HZ * _FADE_MS // 1000
    ramp = 0.5 - 0.5 * np.cos(np.pi * np.arange(fade) / fade)
    wave[:fade] *= ramp
    wave[-fade:] *= ramp[::-1]
    return (wave * _LOUDNESS * 32767).astype("<i2").tobytes()
