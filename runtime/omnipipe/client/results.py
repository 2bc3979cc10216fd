"""What a caller gets: the events of a stream, and the whole answer."""

from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

from omnipipe.client.errors import OutputMissing
from omnipipe.client.wav import SAMPLE_BYTES, wav_bytes

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = [
    "DEFAULT_SAMPLE_RATE",
    "ActionChunk",
    "AudioBuffer",
    "AudioChunk",
    "GenerateResult",
    "ImageChunk",
    "RawChunk",
    "RawPiece",
    "StreamEvent",
    "TextChunk",
    "VideoChunk",
]

DEFAULT_SAMPLE_RATE = 24_000
"""Hz; of sound that comes without its rate: what the models here and those of the same protocol make."""

FilePath = str | PathLike[str]


RawPiece = TypedDict(  # noqa: UP013  as a class, `bytes` would name its own type
    "RawPiece", {"modality": str, "bytes": bytes, "metadata": dict[str, Any]}
)
"""One piece of output, as it came."""


@dataclass(frozen=True, slots=True)
class AudioBuffer:
    """Sound: 16 bit little-endian samples, those of all channels in turn."""

    pcm: bytes = field(repr=False)
    sample_rate: int = DEFAULT_SAMPLE_RATE
    channels: int = 1

    def __len__(self) -> int:
        """Samples of each channel."""
        return len(self.pcm) // (SAMPLE_BYTES * self.channels)

    @property
    def duration(self) -> float:
        """Seconds."""
        return len(self) / self.sample_rate

    def to_numpy(self) -> "NDArray[np.int16]":
        """Samples; of several channels an array (samples, channels). Divide by 32768 for -1 .. 1."""
        return _array(self.pcm, self.channels)

    def wav_bytes(self) -> bytes:
        return wav_bytes(self.pcm, self.sample_rate, self.channels)

    def to_wav(self, path: FilePath) -> str:
        return _save(path, self.wav_bytes())


@dataclass(frozen=True, slots=True)
class TextChunk:
    text: str
    metadata: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ImageChunk:
    data: bytes = field(repr=False)
    """A whole picture, encoded (png)."""
    metadata: dict[str, Any] = field(default_factory=dict)

    def save(self, path: FilePath) -> str:
        return _save(path, self.data)


@dataclass(frozen=True, slots=True)
class AudioChunk:
    pcm: bytes = field(repr=False)
    """Whole samples of all channels, 16 bit little-endian, without a header."""
    sample_rate: int = DEFAULT_SAMPLE_RATE
    channels: int = 1
    metadata: dict[str, Any] = field(default_factory=dict)

    def to_numpy(self) -> "NDArray[np.int16]":
        """As `AudioBuffer.to_numpy`."""
        return _array(self.pcm, self.channels)


@dataclass(frozen=True, slots=True)
class VideoChunk:
    data: bytes = field(repr=False)
    """A whole film, encoded (mp4), or what the model's documentation says."""
    metadata: dict[str, Any] = field(default_factory=dict)

    def save(self, path: FilePath) -> str:
        return _save(path, self.data)


@dataclass(frozen=True, slots=True)
class ActionChunk:
    data: bytes = field(repr=False)
    """Numbers for a robot, in the model's own layout."""
    metadata: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RawChunk:
    """Output of a modality that this client has no type for."""

    modality: str
    data: bytes = field(repr=False)
    metadata: dict[str, Any] = field(default_factory=dict)


StreamEvent = TextChunk | ImageChunk | AudioChunk | VideoChunk | ActionChunk | RawChunk


@dataclass(frozen=True, slots=True)
class GenerateResult:
    """A whole answer, or as much of one as there is (`ClientError.partial`, the `result` of a stream)."""

    request_id: str | None = None
    text: str | None = None
    images: list[bytes] = field(default_factory=list, repr=False)
    audio: AudioBuffer | None = None
    video: list[bytes] = field(default_factory=list, repr=False)
    actions: list[bytes] = field(default_factory=list, repr=False)
    usage: dict[str, Any] | None = None
    """Tokens, where the server counts them."""
    finish_reason: str | None = None
    raw: list[RawPiece] = field(default_factory=list, repr=False)
    """Every piece in the order in which it came, those of other modalities among them."""

    def first_image(self) -> bytes:
        if not self.images:
            raise OutputMissing("the answer has no picture")
        return self.images[0]

    def sound(self) -> AudioBuffer:
        if self.audio is None:
            raise OutputMissing("the answer has no sound; ask for it with output_modalities")
        return self.audio

    def save_image(self, path: FilePath, index: int = 0) -> str:
        if not -len(self.images) <= index < len(self.images):
            raise IndexError(f"no picture {index}: the answer has {len(self.images)}")
        return _save(path, self.images[index])

    def save_audio(self, path: FilePath) -> str:
        """As a WAV file."""
        return self.sound().to_wav(path)


def _array(pcm: bytes, channels: int) -> "NDArray[np.int16]":
    import numpy as np

    flat = np.frombuffer(pcm, dtype="<i2")
    return flat if channels == 1 else flat.reshape(-1, channels)


def _save(path: FilePath, data: bytes) -> str:
    Path(path).write_bytes(data)
    return str(path)
