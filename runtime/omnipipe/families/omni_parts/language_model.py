"""What the autoregressive engine calls of a thinker or a talker, around the parts of transformers' models.

These come before transformers' class among a model's bases. What images and sound become is computed by other stages
and comes in as embeddings.
"""

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import torch
from torch import nn
from transformers.modeling_outputs import CausalLMOutputWithPast

__all__ = ["LanguageModel", "Shown", "TextModel"]

Shown = tuple[Any, ...] | None
"""Hidden states of the layers that are handed out, each at its place, and None at the others'; None: nobody asked."""


class LanguageModel(ABC):
    model: Any
    """Transformers' own layers, without a head."""

    def forward(
        self,
        input_ids: torch.Tensor | None = None,
        inputs_embeds: torch.Tensor | None = None,
        position_ids: torch.Tensor | None = None,
        logits_to_keep: int | torch.Tensor = 0,
        output_hidden_states: bool = False,
        **options: Any,
    ) -> CausalLMOutputWithPast:
        inputs = {"input_ids": input_ids, "inputs_embeds": inputs_embeds, "position_ids": position_ids}
        states, shown = self.computed({**inputs, **options}, showing=output_hidden_states)
        kept = states[:, -logits_to_keep:] if isinstance(logits_to_keep, int) else states[:, logits_to_keep]
        return CausalLMOutputWithPast(logits=self.scored(kept), hidden_states=shown)

    def computed(self, inputs: dict[str, Any], *, showing: bool) -> tuple[torch.Tensor, Shown]:
        """The last hidden states, and which are handed out. Here only the last layer's, which need no hooks."""
        states: torch.Tensor = self.model(**inputs).last_hidden_state
        return states, (*[None] * len(self.model.layers), states) if showing else None

    @abstractmethod
    def scored(self, states: torch.Tensor) -> torch.Tensor:
        """Logits."""


class TextModel(LanguageModel):
    """A thinker without eyes and ears: the tensors of a checkpoint under `thinker.model.` and `thinker.lm_head.`."""

    layers_of: ClassVar[Any]
    """Transformers' class of the text model, which has no types."""

    def __init__(self, config: Any) -> None:
        super().__init__(config)  # type: ignore[call-arg]  # the next base is transformers'
        self.model = self.layers_of._from_config(config)
        self.lm_head = nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        whole: Any = self
        whole.post_init()

    def get_input_embeddings(self) -> nn.Embedding:
        embedding: nn.Embedding = self.model.embed_tokens
        return embedding

    def scored(self, states: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.lm_head(states)
        return logits
