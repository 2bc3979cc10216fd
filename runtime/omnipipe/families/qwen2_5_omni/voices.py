"""The voices of a model, which lie beside its weights in `spk_dict.pt`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import torch

from omnipipe.engines.errors import LoadingError
from omnipipe.engines.loading import one_line
from omnipipe.errors import ErrorKind, RequestError

__all__ = ["FILE", "Voice", "load_voices", "voice_of"]

FILE: Final = "spk_dict.pt"
_DEFAULT: Final = "chelsie"
"""Of those who name none: transformers' default."""


@dataclass(frozen=True, slots=True)
class Voice:
    bos_token: int
    """Of the thinker's vocabulary: what the talker hears before the text."""
    speaker: torch.Tensor
    """`[1, size]`"""
    mel: torch.Tensor
    """`[1, frames, mels]`: a spectrum of somebody who speaks so."""


def load_voices(folder: Path) -> dict[str, Voice]:
    """By name, in lower case. Nothing but tensors is read from the file. Raises LoadingError, in one line."""
    with one_line(f"{folder.name}: its voices ({FILE})"):
        found = torch.load(folder / FILE, map_location="cpu", weights_only=True)
        voices = {
            name.lower(): Voice(
                int(voice["bos_token"]), voice["cond"].float().reshape(1, -1), _spectrum(voice["ref_mel"].float())
            )
            for name, voice in found.items()
        }
    if not voices:
        raise LoadingError(f"{folder.name}: there are no voices in {FILE}")
    return voices


def voice_of(voices: dict[str, Voice], name: str) -> Voice:
    """Raises RequestError. Empty: the model's default."""
    name = name.lower() or (_DEFAULT if _DEFAULT in voices else next(iter(voices)))
    if name not in voices:
        known = ", ".join(sorted(voices))
        raise RequestError(ErrorKind.INVALID, f"This model has no voice '{name}'. It has: {known}.", param="voice")
    return voices[name]


def _spectrum(mel: torch.Tensor) -> torch.Tensor:
    return mel.reshape(1, *mel.shape[-2:])
