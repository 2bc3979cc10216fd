"""The tone code of tiny-omni: what is written in it is read back, in every voice and at the rates it is heard at."""

import re
from pathlib import Path

import numpy as np
import pytest
from tools.tiny_omni.tones import (
    CHARACTERS,
    HIGH_HZ,
    LOW_HZ,
    OTHER,
    RATE_HZ,
    SYMBOL_S,
    VOICES,
    codes_of,
    decode,
    spoken,
    synthesize,
    tone_of,
)

_TEXT = CHARACTERS[: -len(OTHER)] + " hello, 007!"


@pytest.mark.parametrize("voice", VOICES)
@pytest.mark.parametrize("rate_hz", [16_000, 24_000, 48_000])
def test_every_character_is_read_back(voice: str, rate_hz: int) -> None:
    assert decode(synthesize(_TEXT, voice, rate_hz), rate_hz) == _TEXT


@pytest.mark.parametrize("voice", VOICES)
def test_noise_and_loudness_do_not_matter(voice: str) -> None:
    wave = 0.1 * synthesize(_TEXT, voice)
    noise = np.random.default_rng(1).normal(0.0, 0.01, wave.shape)
    assert decode(wave + noise) == _TEXT


@pytest.mark.parametrize(
    ("text", "heard"),
    [
        ("Hello\nYou", "hello you"),
        ("é", OTHER * 2),
        ("`~", OTHER * 2),
        ("a  b", "a  b"),
        ("", ""),
        (" \t", "  "),
    ],
)
def test_what_has_no_tones_of_its_own(text: str, heard: str) -> None:
    assert spoken(text) == heard
    assert decode(synthesize(text)) == heard.rstrip(" ")


def test_a_character_lasts_as_long_as_every_other() -> None:
    for text in ("a", " ", "é"):
        assert len(synthesize(text)) == len(spoken(text)) * SYMBOL_S * RATE_HZ


def test_no_two_characters_sound_the_same() -> None:
    assert len(set(CHARACTERS)) == len(CHARACTERS) <= len(LOW_HZ) * len(HIGH_HZ)
    assert tone_of("0") == (0, 0)
    assert tone_of("a") == (1, 2)
    assert not set(LOW_HZ) & set(HIGH_HZ)


def test_frames_for_the_talker_name_symbol_tones_and_voice() -> None:
    assert codes_of("0a ", "chelsie") == [(1, 1, 1, 2), (11, 2, 3, 2), (0, 0, 0, 0)]


def test_speech_that_begins_late_is_read_from_there() -> None:
    wave = np.concatenate((np.zeros(1000, np.float32), synthesize("late")))
    assert decode(wave, start_s=1000 / RATE_HZ) == "late"


def test_the_table_in_the_docs_is_the_code() -> None:
    card = (Path(__file__).parents[3] / "docs" / "models.md").read_text()
    for row, low in enumerate(LOW_HZ):
        (line,) = (line for line in card.splitlines() if line.startswith(f"| **{low}** |"))
        cells = re.findall(r"`\\?(.)`", line)
        assert "".join(cells) == CHARACTERS[8 * row : 8 * row + 8]
    assert "| " + " | ".join(map(str, HIGH_HZ)) + " |" in card
