"""The module that embeds: transformers' own, without the pooling layer that BERT and its kin had for pretraining.

Nothing here uses that layer; many checkpoints of embedding models come without its weights, and with others they are
not worth a warning.
"""

import inspect
from os import PathLike
from typing import Any

from transformers import MODEL_MAPPING, AutoModel

__all__ = ["Encoder"]


class Encoder(AutoModel):
    @classmethod
    def from_pretrained(
        cls, pretrained_model_name_or_path: str | PathLike[str], *model_args: Any, **kwargs: Any
    ) -> Any:
        kind: Any = MODEL_MAPPING.get(type(kwargs["config"]), None)
        if kind is None or "add_pooling_layer" not in inspect.signature(kind).parameters:
            return AutoModel.from_pretrained(pretrained_model_name_or_path, *model_args, **kwargs)
        kwargs.pop("trust_remote_code", None)  # it is transformers' own code
        quiet: Any = type(kind.__name__, (kind,), {"_keys_to_ignore_on_load_unexpected": [r"pooler\."]})
        return quiet.from_pretrained(pretrained_model_name_or_path, *model_args, add_pooling_layer=False, **kwargs)
