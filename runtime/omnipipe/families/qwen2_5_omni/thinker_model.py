"""The thinker without eyes and ears: transformers' text model and its head, as the autoregressive engine takes it."""

from transformers import Qwen2_5OmniPreTrainedModel, Qwen2_5OmniThinkerTextModel

from omnipipe.families.omni_parts.language_model import TextModel

__all__ = ["ThinkerModel"]


class ThinkerModel(TextModel, Qwen2_5OmniPreTrainedModel):  # type: ignore[no-untyped-call]  # transformers'
    layers_of = Qwen2_5OmniThinkerTextModel
