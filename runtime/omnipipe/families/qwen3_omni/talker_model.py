"""The talker, as the autoregressive engine takes it: codes in and out, and what of the vocabulary is never said.

Its code predictor and projections are transformers' modules in here, run by `talker` and `code_predictor`.
"""

from typing import Any, Final

import torch
from transformers import Qwen3OmniMoeTalkerForConditionalGeneration
from transformers.modeling_outputs import CausalLMOutputWithPast
from transformers.models.qwen3_omni_moe.configuration_qwen3_omni_moe import Qwen3OmniMoeTalkerConfig

__all__ = ["TalkerModel"]

_SPECIAL: Final = 1024
"""The end of the vocabulary: marks and voices. None of them is a code; `generate` suppresses all but the end."""


class TalkerModel(Qwen3OmniMoeTalkerForConditionalGeneration):  # type: ignore[no-untyped-call]  # transformers'
    """The tensors of a checkpoint under `talker.`."""

    def __init__(self, config: Qwen3OmniMoeTalkerConfig) -> None:
        super().__init__(config)
        first, end = max(0, self.vocab_size - _SPECIAL), config.codec_eos_token_id
        self._unsaid = [(first, end), (end + 1, self.vocab_size)] if end >= first else [(first, self.vocab_size)]
        self._layers = len(self.model.layers)

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
            inputs_embeds = self.model.codec_embedding(input_ids)
        states = self.model(inputs_embeds=inputs_embeds, position_ids=position_ids, **options).last_hidden_state
        kept = states[:, -logits_to_keep:] if isinstance(logits_to_keep, int) else states[:, logits_to_keep]
        logits = self.codec_head(kept)
        for first, end in self._unsaid:
            logits[..., first:end] = float("-inf")
        # Only the last layer's are ever asked for, and they need no hooks.
        shown = (*[None] * self._layers, states) if output_hidden_states else None
        return CausalLMOutputWithPast(logits=logits, hidden_states=shown)
