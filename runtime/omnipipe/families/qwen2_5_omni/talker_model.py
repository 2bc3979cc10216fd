"""The talker, as the autoregressive engine takes it: codes in and out."""

from typing import Any

import torch
from transformers.modeling_outputs import CausalLMOutputWithPast
from transformers.models.qwen2_5_omni.modeling_qwen2_5_omni import Qwen2_5OmniTalkerForConditionalGeneration

__all__ = ["TalkerModel"]


class TalkerModel(Qwen2_5OmniTalkerForConditionalGeneration):  # type: ignore[no-untyped-call]  # transformers'
    """The tensors of a checkpoint under `talker.`. Embeddings come in projected to the model's own width."""

    def forward(
        self,
        input_ids: torch.Tensor | None = None,
        inputs_embeds: torch.Tensor | None = None,
        position_ids: torch.Tensor | None = None,
        logits_to_keep: int | torch.Tensor = 0,
        output_hidden_states: bool = False,
        **options: Any,
    ) -> CausalLMOutputWithPast:
        if inputs_embeds is None:
            inputs_embeds = self.thinker_to_talker_proj(self.model.embed_tokens(input_ids))
        states = self.model(inputs_embeds=inputs_embeds, position_ids=position_ids, **options).last_hidden_state
        kept = states[:, -logits_to_keep:] if isinstance(logits_to_keep, int) else states[:, logits_to_keep]
        logits = self.codec_head(kept)
        logits[..., self.codec_bos_token] = float("-inf")  # as `generate` has it
        return CausalLMOutputWithPast(logits=logits)
