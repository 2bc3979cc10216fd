"""The talker, as the autoregressive engine takes it: codes in and out, and what of the vocabulary is never said.

Its code predictor and projections are transformers' modules in here, run by `talker` and `code_predictor`.
"""

from typing import Any, Final, cast

import torch
from transformers import Qwen3OmniMoeTalkerForConditionalGeneration
from transformers.models.qwen3_omni_moe.configuration_qwen3_omni_moe import Qwen3OmniMoeTalkerConfig

from omnipipe.families.omni_parts.language_model import LanguageModel, Shown

__all__ = ["TalkerModel"]

_SPECIAL: Final = 1024
"""The end of the vocabulary: marks and voices. None of them is a code; `generate` suppresses all but the end."""


class TalkerModel(LanguageModel, Qwen3OmniMoeTalkerForConditionalGeneration):  # type: ignore[no-untyped-call]  # transformers'
    """The tensors of a checkpoint under `talker.`."""

    def __init__(self, config: Qwen3OmniMoeTalkerConfig) -> None:
        super().__init__(config)
        first, end = max(0, self.vocab_size - _SPECIAL), config.codec_eos_token_id
        self._unsaid = [(first, end), (end + 1, self.vocab_size)] if end >= first else [(first, self.vocab_size)]

    def computed(self, inputs: dict[str, Any], *, showing: bool) -> tuple[torch.Tensor, Shown]:
        tokens = inputs.pop("input_ids")
        if inputs["inputs_embeds"] is None:
            inputs["inputs_embeds"] = self.model.codec_embedding(tokens)
        return super().computed(inputs, showing=showing)

    def scored(self, states: torch.Tensor) -> torch.Tensor:
        logits = cast(torch.Tensor, self.codec_head(states))
        for first, end in self._unsaid:
            logits[..., first:end] = float("-inf")
        return logits
