"""Models that would come out wrong are refused when the stage starts, by name."""

from typing import Any

import pytest
from transformers import (
    AutoModelForCausalLM,
    BloomConfig,
    LlamaConfig,
    PreTrainedConfig,
    PreTrainedModel,
    Qwen3NextConfig,
)

from omnipipe.engines.autoregressive.architecture import examine
from omnipipe.engines.autoregressive.errors import UnsupportedModel

_SMALL: dict[str, Any] = {
    "hidden_size": 32,
    "intermediate_size": 32,
    "num_hidden_layers": 4,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
    "vocab_size": 50,
    "pad_token_id": 0,
    "head_dim": 16,
}


def model_from(config: PreTrainedConfig) -> PreTrainedModel:
    make: Any = AutoModelForCausalLM
    model = make.from_config(config).eval()
    assert isinstance(model, PreTrainedModel)
    return model


@pytest.mark.parametrize(
    ("config", "words"),
    [
        (Qwen3NextConfig(**{**_SMALL, "num_experts": 0}), "Qwen3Next.* linear_attention"),
        (BloomConfig(hidden_size=32, n_layer=2, n_head=2, vocab_size=50), "Bloom.* cannot run here"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, PreTrainedConfig) else "",
)
def test_refused_by_name(config: PreTrainedConfig, words: str) -> None:
    with pytest.raises(UnsupportedModel, match=words):
        examine(model_from(config))


def test_a_rope_that_grows_with_the_batch_ends_where_it_was_trained_to() -> None:
    rope = {"rope_type": "dynamic", "factor": 4.0, "rope_theta": 1e4, "original_max_position_embeddings": 64}
    model = model_from(LlamaConfig(**{**_SMALL, "max_position_embeddings": 256, "rope_parameters": rope}))
    assert examine(model).context == 64
