"""Configurations of tiny models, one for each architecture that parity is shown for. Large weights, so that answers are
not one token for ever."""

from collections.abc import Callable
from typing import Any, Final

from transformers import (
    Gemma2Config,
    Gemma3TextConfig,
    GPT2Config,
    LlamaConfig,
    MistralConfig,
    Phi3Config,
    PreTrainedConfig,
    Qwen2Config,
    Qwen3Config,
    Qwen3MoeConfig,
)

__all__ = ["CONFIGS"]

_TINY: dict[str, Any] = {
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 300,
    "max_position_embeddings": 512,
    "eos_token_id": None,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "initializer_range": 0.2,
}
_WINDOWS = ["sliding_attention", "full_attention", "sliding_attention"]

CONFIGS: Final[dict[str, Callable[[], PreTrainedConfig]]] = {
    "llama": lambda: LlamaConfig(**_TINY),
    "qwen2": lambda: Qwen2Config(**_TINY),
    "qwen3": lambda: Qwen3Config(**_TINY, head_dim=16),
    "qwen3_moe": lambda: Qwen3MoeConfig(
        **{**_TINY, "head_dim": 16},
        num_experts=8,
        num_experts_per_tok=2,
        moe_intermediate_size=32,
        mlp_only_layers=[],
    ),
    "mistral": lambda: MistralConfig(**_TINY, sliding_window=20),
    "gemma2": lambda: Gemma2Config(**_TINY, head_dim=16, sliding_window=20, query_pre_attn_scalar=16),
    "gemma3": lambda: Gemma3TextConfig(
        **{**_TINY, "num_hidden_layers": 3}, head_dim=16, sliding_window=20, layer_types=_WINDOWS
    ),
    "phi3": lambda: Phi3Config(**_TINY),
    "gpt2": lambda: GPT2Config(
        n_embd=64,
        n_layer=2,
        n_head=4,
        vocab_size=300,
        n_positions=512,
        eos_token_id=None,
        bos_token_id=1,
        pad_token_id=0,
        initializer_range=0.2,
    ),
}
