"""The thinker without eyes and ears: transformers' text model and its head, as the autoregressive engine takes it."""

from typing import Any

import torch
from torch import nn
from transformers import Qwen2_5OmniPreTrainedModel, Qwen2_5OmniThinkerTextModel
from transformers.modeling_outputs import CausalLMOutputWithPast
from transformers.models.qwen2_5_omni.configuration_qwen2_5_omni import Qwen2_5OmniTextConfig

__all__ = ["ThinkerModel"]


class ThinkerModel(Qwen2_5OmniPreTrainedModel):
    """The tensors of a checkpoint under `thinker.model.` and `thinker.lm_head.`."""

    def __init__(self, config: Qwen2_5OmniTextConfig) -> None:
        super().__init__(config)
        make: Any = Qwen2_5OmniThinkerTextModel  # transformers does not type this
        self.model = make._from_config(config)
        self.lm_head = nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        self._layers = int(config.num_hidden_layers)
        self.post_init()  # type: ignore[no-untyped-call]  # as above

    def get_input_embeddings(self) -> nn.Embedding:
        embedding: nn.Embedding = self.model.embed_tokens
        return embedding

    def forward(
        self,
        input_ids: torch.Tensor | None = None,
        inputs_embeds: torch.Tensor | None = None,
        position_ids: torch.Tensor | None = None,
        logits_to_keep: int | torch.Tensor = 0,
        output_hidden_states: bool = False,
        **options: Any,
    ) -> CausalLMOutputWithPast:
        states = self.model(
            input_ids=input_ids, inputs_embeds=inputs_embeds, position_ids=position_ids, **options
        ).last_hidden_state
        kept = states[:, -logits_to_keep:] if isinstance(logits_to_keep, int) else states[:, logits_to_keep]
        # Only the last layer's are ever asked for.
        shown = (*[None] * self._layers, states) if output_hidden_states else None
        return CausalLMOutputWithPast(logits=self.lm_head(kept), hidden_states=shown)
