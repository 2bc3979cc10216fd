"""The encoder stages: features of media to embeddings, by the towers of transformers' Qwen2.5-Omni."""

from collections.abc import Sequence
from typing import Any

import torch
from transformers.models.qwen2_5_omni.modeling_qwen2_5_omni import (
    Qwen2_5OmniAudioEncoder,
    Qwen2_5OmniVisionEncoder,
)

from omnipipe.engines.loading import Part
from omnipipe.families.qwen3_omni.encoders import Embedded, Encoder, frames_of, kept
from omnipipe.families.qwen3_omni.tensors import to_torch
from omnipipe.wire.value import Value

__all__ = ["AudioEncoder", "VisionEncoder"]


class AudioEncoder(Encoder):
    port = "audio"

    def part(self) -> Part:
        return Part("thinker.audio_tower.", lambda config: config.thinker_config.audio_config, Qwen2_5OmniAudioEncoder)

    def groups(self, items: Sequence[Value]) -> Sequence[Sequence[Value]]:
        """What a clip is padded with is nothing to its tower."""
        return [items]

    def encode(self, items: Sequence[Value]) -> Sequence[Embedded]:
        device = self._loaded.device
        lengths = torch.tensor([frames_of(item) for item in items])
        features = torch.cat([to_torch(item["features"]) for item in items], dim=1)
        output: Any = self._loaded.module(features.to(device, self._loaded.dtype), feature_lens=lengths.to(device))
        sizes = [((int(length) - 1) // 2 - 1) // 2 + 1 for length in lengths]
        return [Embedded(kept(rows)) for rows in output.last_hidden_state.split(sizes)]


class VisionEncoder(Encoder):
    port = "vision"

    def part(self) -> Part:
        return Part("thinker.visual.", lambda config: config.thinker_config.vision_config, Qwen2_5OmniVisionEncoder)

    def groups(self, items: Sequence[Value]) -> Sequence[Sequence[Value]]:
        return [items]

    def encode(self, items: Sequence[Value]) -> Sequence[Embedded]:
        loaded = self._loaded
        model: Any = loaded.module
        grids = torch.tensor([item["grid"] for item in items])
        features = torch.cat([to_torch(item["features"]) for item in items])
        output = model(features.to(loaded.device, loaded.dtype), grid_thw=grids.to(loaded.device))
        sizes = (grids.prod(-1) // model.spatial_merge_unit).tolist()
        return [Embedded(kept(rows)) for rows in output.pooler_output.split(sizes)]
