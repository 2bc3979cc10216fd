"""The encoder stages: features of media to embeddings, by the towers of transformers' Qwen3-Omni."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from transformers.models.qwen3_omni_moe.modeling_qwen3_omni_moe import (
    Qwen3OmniMoeAudioEncoder,
    Qwen3OmniMoeVisionEncoder,
)

from omnipipe.families.omni_parts import encoders as parts
from omnipipe.wire.value import Value

__all__ = ["AudioEncoder", "VisionEncoder"]


class AudioEncoder(parts.AudioEncoder):
    tower = Qwen3OmniMoeAudioEncoder

    def groups(self, items: Sequence[Value]) -> Sequence[Sequence[Value]]:
        """The tower pads what is shorter than its window to the longest of a pass, and its convolutions see that: such
        a clip goes with others of its own length alone."""
        groups: dict[int, list[Value]] = defaultdict(list)
        for item in items:
            groups[min(parts.frames_of(item), self._window)].append(item)
        return list(groups.values())

    def rows(self, frames: int) -> int:
        """Three convolutions halve each window of it, and what is left over at the end."""
        whole, left = divmod(frames, self._window)
        return whole * _halved(self._window) + _halved(left)

    @property
    def _window(self) -> int:
        """Frames of the spectrum that the tower takes at once."""
        return 2 * int(self._loaded.module.config.n_window)


class VisionEncoder(parts.VisionEncoder):
    tower = Qwen3OmniMoeVisionEncoder

    def deep_layers(self, output: Any) -> Sequence[Any]:
        layers: Sequence[Any] = output.deepstack_features
        return layers


def _halved(frames: int) -> int:
    for _ in range(3):
        frames = (frames + 1) // 2
    return frames
