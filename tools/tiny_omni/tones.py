"""The speech of tiny-omni: every character is a pair of tones for 60 ms, then 20 ms of silence.

The same code is what it hears digits in. Pure numpy: tests and people decode with it what the model has said.
"""

from typing import Any, Final

import numpy as np
import numpy.typing as npt

__all__ = [
    "CHARACTERS",
    "HIGH_HZ",
    "LOW_HZ",
    "OTHER",
    "RATE_HZ",
    "SYMBOL_S",
    "VOICES",
    "Wave",
    "codes_of",
    "decode",
    "spoken",
    "synthesize",
    "tone_of",
]

Wave = npt.NDArray[np.float32]

RATE_HZ: Final = 24_000
SYMBOL_S: Final = 0.08
"""A whole number of periods of every tone, and of code2wav's frames: one."""
_TONE_S: Final = 0.06
_RAMP_S: Final = 0.005
LOW_HZ: Final = tuple(range(500, 1300, 100))
HIGH_HZ: Final = tuple(range(1500, 3100, 200))
OTHER: Final = "□"
"""What is heard for a character without tones of its own, once for each of its bytes."""
CHARACTERS: Final = "0123456789abcdefghijklmnopqrstuvwxyz.,?!'\"-:;+=*/()%&@#$_<>[]|" + OTHER
"""Character number n has the low tone n // 8 and the high tone n % 8. A space is a symbol of silence."""
VOICES: Final = {"ethan": (1.0,), "chelsie": (1.0, 0.5), "aiden": (1.0, 0.0, 0.4)}
"""Amplitudes of the partials: pure tones, with the octave, with the twelfth."""
_QUIET: Final = 0.1
"""A symbol is silence when it has less than this share of the loudest symbol's amplitude."""


def spoken(text: str) -> str:
    """What is heard of a text: no difference between cases, line ends are pauses, unknown bytes are boxes."""
    heard = ""
    for character in text:
        if character in " \n\r\t":
            heard += " "
        elif character.isascii():
            heard += character.lower() if character.lower() in CHARACTERS else OTHER
        else:
            heard += OTHER * len(character.encode())
    return heard


def tone_of(character: str) -> tuple[int, int] | None:
    """The numbers of the low and the high tone; None for a space."""
    return None if character == " " else divmod(CHARACTERS.index(character), 8)


def codes_of(heard: str, voice: str) -> list[tuple[int, int, int, int]]:
    """The frame that code2wav gets for each character: the symbol, its low tone, its high tone, the voice."""
    number = 1 + list(VOICES).index(voice)
    frames = []
    for character in heard:
        tone = tone_of(character)
        frames.append((0, 0, 0, 0) if tone is None else (1 + 8 * tone[0] + tone[1], 1 + tone[0], 1 + tone[1], number))
    return frames


def synthesize(text: str, voice: str = "ethan", rate_hz: int = RATE_HZ) -> Wave:
    partials = VOICES[voice]
    size = round(SYMBOL_S * rate_hz)
    time = np.arange(size) / rate_hz
    envelope = np.clip(np.minimum(time, _TONE_S - time) / _RAMP_S, 0, 1)
    envelope = 0.5 - 0.5 * np.cos(np.pi * envelope)
    wave = np.zeros((len(spoken(text)), size), np.float32)
    for place, character in enumerate(spoken(text)):
        tone = tone_of(character)
        if tone is None:
            continue
        for hertz in (LOW_HZ[tone[0]], HIGH_HZ[tone[1]]):
            audible = [pair for pair in enumerate(partials, 1) if pair[0] * hertz < rate_hz / 2]
            for number, amplitude in audible:
                wave[place] += amplitude * np.sin(2 * np.pi * number * hertz * time)
        wave[place] *= 0.35 / sum(partials) * envelope
    return wave.reshape(-1)


def decode(wave: npt.NDArray[Any], rate_hz: int = RATE_HZ, start_s: float = 0.0) -> str:
    """The text in a waveform whose first symbol begins at `start_s`; pauses at its end are left out."""
    size = round(SYMBOL_S * rate_hz)
    heard = round(_TONE_S * rate_hz)
    wave = np.asarray(wave, np.float64).reshape(-1)[round(start_s * rate_hz) :]
    wave = np.pad(wave, (0, -len(wave) % size)).reshape(-1, size)[:, :heard]
    time = np.arange(heard) / rate_hz
    strength = [
        np.abs(wave @ np.exp(-2j * np.pi * np.outer(time, np.array(hertz)))) / heard for hertz in (LOW_HZ, HIGH_HZ)
    ]
    level = np.minimum(strength[0].max(1), strength[1].max(1))
    loudest = level.max(initial=0.0)
    text = ""
    for low, high, loud in zip(strength[0].argmax(1), strength[1].argmax(1), level, strict=True):
        number = 8 * int(low) + int(high)
        silent = loud <= max(_QUIET * loudest, 1e-4)
        text += " " if silent else CHARACTERS[number] if number < len(CHARACTERS) else OTHER
    return text.rstrip(" ")
