"""What a caller does with an answer."""

import io
import struct
import wave
from pathlib import Path

import numpy as np
import pytest

from omnipipe.client.errors import OutputMissing
from omnipipe.client.results import AudioBuffer, AudioChunk, GenerateResult, ImageChunk, VideoChunk

PCM = struct.pack("<6h", 1, -2, 3, -4, 5, -6)


def test_sound_of_two_channels() -> None:
    sound = AudioBuffer(PCM, 8000, 2)
    assert (len(sound), sound.duration) == (3, 3 / 8000)
    assert sound.to_numpy().tolist() == [[1, -2], [3, -4], [5, -6]]
    assert AudioChunk(PCM, 8000, 2).to_numpy().tolist() == sound.to_numpy().tolist()
    with wave.open(io.BytesIO(sound.wav_bytes())) as file:
        assert (file.getnchannels(), file.getframerate(), file.getsampwidth()) == (2, 8000, 2)
        assert file.readframes(9) == PCM


def test_sound_of_one_channel() -> None:
    sound = AudioBuffer(PCM)
    assert (len(sound), sound.sample_rate) == (6, 24000)
    assert sound.to_numpy().dtype == np.int16
    assert sound.to_numpy().tolist() == [1, -2, 3, -4, 5, -6]
    assert len(AudioBuffer(b"")) == 0


def test_files_are_written(tmp_path: Path) -> None:
    result = GenerateResult(images=[b"one", b"two"], audio=AudioBuffer(PCM, 8000, 2))
    assert Path(result.save_image(tmp_path / "a.png", 1)).read_bytes() == b"two"
    assert Path(result.save_audio(str(tmp_path / "a.wav"))).read_bytes() == AudioBuffer(PCM, 8000, 2).wav_bytes()
    assert Path(ImageChunk(b"png").save(tmp_path / "b.png")).read_bytes() == b"png"
    assert Path(VideoChunk(b"mp4").save(tmp_path / "b.mp4")).read_bytes() == b"mp4"


def test_what_is_not_there_cannot_be_saved(tmp_path: Path) -> None:
    with pytest.raises(IndexError, match="the answer has 0"):
        GenerateResult().save_image(tmp_path / "a.png")
    with pytest.raises(OutputMissing, match="output_modalities"):
        GenerateResult().save_audio(tmp_path / "a.wav")
    with pytest.raises(OutputMissing, match="no picture"):
        GenerateResult().first_image()
    assert list(tmp_path.iterdir()) == []
