"""The talker, as the autoregressive engine takes it: codes in and out."""

from typing import Any, cast

import torch
from transformers.models.qwen2_5_omni.modeling_qwen2_5_omni import Qwen2_5OmniTalkerForConditionalGeneration

from omnipipe.families.omni_parts.language_model import LanguageModel, Shown

__all__ = ["TalkerModel"]


class TalkerModel(LanguageModel, Qwen2_5OmniTalkerForConditionalGeneration):  # type: ignore[no-untyped-call]  # transformers'
    """The tensors of a checkpoint under `talker.`. Embeddings come in projected to the model's own width."""

    def computed(self, inputs: dict[str, Any], *, showing: bool) -> tuple[torch.Tensor, Shown]:
        tokens = inputs.pop("input_ids")
        if inputs["inputs_embeds"] is None:
            inputs["inputs_embeds"] = self.thinker_to_talker_proj(self.model.embed_tokens(tokens))
        return super().computed(inputs, showing=showing)

    def scored(self, states: torch.Tensor) -> torch.Tensor:
        logits = cast(torch.Tensor, self.codec_head(states))
        logits[..., self.codec_bos_token] = float("-inf")  # as `generate` has it
        return logits
