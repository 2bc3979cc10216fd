"""The thinker without eyes and ears: transformers' text model and its head, as the autoregressive engine takes it.

What images and sound become is computed by other stages and comes in as embeddings.
"""

from typing import Any

import torch
from torch import nn
from transformers import Qwen3OmniMoeThinkerTextModel
from transformers.modeling_outputs import CausalLMOutputWithPast
from transformers.models.qwen3_omni_moe.configuration_qwen3_omni_moe import Qwen3OmniMoeTextConfig
from transformers.models.qwen3_omni_moe.modeling_qwen3_omni_moe import Qwen3OmniMoeThinkerTextPreTrainedModel

__all__ = ["ThinkerModel"]


class ThinkerModel(Qwen3OmniMoeThinkerTextPreTrainedModel):
    """The tensors of a checkpoint under `thinker.model.` and `thinker.lm_head.`."""

    def __init__(self, config: Qwen3OmniMoeTextConfig) -> None:
        super().__init__(config)
        make: Any = Qwen3OmniMoeThinkerTextModel  # transformers does not type this
        self.model = make._from_config(config)
        self.lm_head = nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        self.shown_layers: list[int] = []
        """Whose hidden states are handed out when they are asked for, as transformers counts them."""
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
        out = self.model(
            input_ids=input_ids,
            inputs_embeds=inputs_embeds,
            position_ids=position_ids,
            output_hidden_states=self.shown_layers if output_hidden_states and self.shown_layers else False,
            **options,
        )
        states = out.last_hidden_state
        kept = states[:, -logits_to_keep:] if isinstance(logits_to_keep, int) else states[:, logits_to_keep]
        return CausalLMOutputWithPast(logits=self.lm_head(kept), hidden_states=out.hidden_states)
