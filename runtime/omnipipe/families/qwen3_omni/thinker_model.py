"""The thinker without eyes and ears: transformers' text model and its head, as the autoregressive engine takes it."""

from typing import Any

import torch
from transformers import Qwen3OmniMoeThinkerTextModel
from transformers.models.qwen3_omni_moe.modeling_qwen3_omni_moe import Qwen3OmniMoeThinkerTextPreTrainedModel

from omnipipe.families.omni_parts.language_model import Shown, TextModel

__all__ = ["ThinkerModel"]


class ThinkerModel(TextModel, Qwen3OmniMoeThinkerTextPreTrainedModel):  # type: ignore[no-untyped-call]  # transformers'
    layers_of = Qwen3OmniMoeThinkerTextModel

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self.shown_layers: list[int] = []
        """Whose hidden states are handed out when they are asked for, as transformers counts them."""

    def computed(self, inputs: dict[str, Any], *, showing: bool) -> tuple[torch.Tensor, Shown]:
        out = self.model(**inputs, output_hidden_states=self.shown_layers if showing and self.shown_layers else False)
        return out.last_hidden_state, out.hidden_states
