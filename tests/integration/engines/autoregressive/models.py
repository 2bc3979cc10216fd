"""Configurations of tiny models, one for each architecture that parity is shown for (docs/models.md lists them). Large
weights, so that answers are not one token for ever."""

from collections.abc import Callable
from typing import Any, Final

from transformers import (
    AutoConfig,
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

__all__ = ["CONFIGS", "FURTHER", "config_of"]

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
"""Shown in every mix: chunks, shared prefixes, preemption, embeddings, beside sampled requests."""

_ROUTED: dict[str, Any] = {"num_local_experts": 8, "num_experts_per_tok": 2}
_TWO_KINDS: dict[str, Any] = {"sliding_window": 20, "layer_types": ["full_attention", "sliding_attention"]}

FURTHER: Final[dict[str, dict[str, Any]]] = {
    "apertus": {},
    "arcee": {"head_dim": 16},
    "cohere": {},
    "cohere2": {"head_dim": 16, **_TWO_KINDS},
    "deepseek_v3": {
        "n_routed_experts": 8, "num_experts_per_tok": 2, "moe_intermediate_size": 32, "n_group": 1, "topk_group": 1,
        "first_k_dense_replace": 1, "num_key_value_heads": 4, "kv_lora_rank": 16, "q_lora_rank": 24,
        "qk_nope_head_dim": 16, "qk_rope_head_dim": 8, "v_head_dim": 16,
    },
    "ernie4_5": {"head_dim": 16},
    "ernie4_5_moe": {"moe_num_experts": 8, "moe_intermediate_size": 32, "num_experts_per_tok": 2},
    "exaone4": _TWO_KINDS,
    "gemma": {"head_dim": 16},
    "glm": {"head_dim": 16},
    "glm4": {"head_dim": 16},
    "glm4_moe": {"n_routed_experts": 8, "num_experts_per_tok": 2, "moe_intermediate_size": 32},
    "gpt_bigcode": {},
    "gpt_neox": {},
    "gpt_oss": {"head_dim": 16, **_ROUTED, **_TWO_KINDS},
    "granite": {},
    "granitemoe": _ROUTED,
    "granitemoeshared": _ROUTED,
    "helium": {"head_dim": 16},
    "minimax_m2": {"head_dim": 16, **_ROUTED},
    "ministral3": {"head_dim": 16},
    "mixtral": _ROUTED,
    "olmo": {},
    "olmo2": {},
    "olmo3": _TWO_KINDS,
    "olmoe": {"num_experts": 8, "num_experts_per_tok": 2},
    "opt": {},
    "phi": {},
    "phimoe": _ROUTED,
    "qwen2_moe": {
        "num_experts": 8, "num_experts_per_tok": 2, "moe_intermediate_size": 32, "shared_expert_intermediate_size": 32,
    },
    "seed_oss": {"head_dim": 16},
    "smollm3": {"layer_types": ["full_attention"] * 2},
    "starcoder2": {},
}  # fmt: skip
"""What differs from `_TINY`. Shown in a ragged batch, in chunks, with prefixes shared."""


def config_of(name: str) -> PreTrainedConfig:
    if name in CONFIGS:
        return CONFIGS[name]()
    made: PreTrainedConfig = AutoConfig.for_model(name, **{**_TINY, **FURTHER[name]})
    return made
