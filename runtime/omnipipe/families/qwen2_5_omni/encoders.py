"""The encoder stages: features of media to embeddings, by the towers of transformers' Qwen2.5-Omni."""

from transformers.models.qwen2_5_omni.modeling_qwen2_5_omni import (
    Qwen2_5OmniAudioEncoder,
    Qwen2_5OmniVisionEncoder,
)

from omnipipe.families.omni_parts import encoders as parts

__all__ = ["AudioEncoder", "VisionEncoder"]


class AudioEncoder(parts.AudioEncoder):
    tower = Qwen2_5OmniAudioEncoder

    def rows(self, frames: int) -> int:
        return ((frames - 1) // 2 - 1) // 2 + 1


class VisionEncoder(parts.VisionEncoder):
    tower = Qwen2_5OmniVisionEncoder
