"""A tiny Qwen3-Omni with random weights, in a folder laid out as the real model's, and transformers' own answers to it.

All modalities are there, every part small. Weights that are nearly nothing in a fresh model (layer scales) are made
large, so that no part can be left out unnoticed.
"""

import re
from pathlib import Path
from typing import Any, Final

import torch
from tests.integration.families.omni_parts.small_models import make_tokenizer, marks_of, save_small_model, token_id
from transformers import Qwen2Tokenizer, Qwen3OmniMoeConfig, Qwen3OmniMoeForConditionalGeneration, Qwen3OmniMoeProcessor

__all__ = [
    "CODEBOOK",
    "GROUPS",
    "VOICES",
    "load_processor",
    "load_reference",
    "save_tiny_model",
]

CODEBOOK: Final = 64
GROUPS: Final = 4
_OFFSET: Final = CODEBOOK - 2048
"""Where this codebook ends, seen from the real one."""
VOICES: Final = {"chelsie": 2301 + _OFFSET, "ethan": 2302 + _OFFSET, "aiden": 2303 + _OFFSET}
_HIDDEN: Final = 64
_TALKER_HIDDEN: Final = 48
_HEAD: Final = 16
_SCALE: Final = 0.3
"""Standard deviation of the weights: enough for answers that differ from token to token."""


def save_tiny_model(folder: Path, seed: int = 0, scale: float = _SCALE) -> Path:
    tokenizer = make_tokenizer()
    torch.manual_seed(seed)
    model = Qwen3OmniMoeForConditionalGeneration(_config(tokenizer))
    _stir(model, scale)
    save_small_model(folder, model, tokenizer, processor="Qwen3OmniMoeProcessor", patch=16)
    return folder


def load_reference(folder: Path) -> Qwen3OmniMoeForConditionalGeneration:
    model = Qwen3OmniMoeForConditionalGeneration.from_pretrained(folder, dtype=torch.float32)
    config: Any = model.config
    model.talker.config.audio_config = config.thinker_config.audio_config  # get_rope_index asks for its n_window
    model.train(False)
    return model


def load_processor(folder: Path) -> Qwen3OmniMoeProcessor:
    processor = Qwen3OmniMoeProcessor.from_pretrained(folder)
    assert isinstance(processor, Qwen3OmniMoeProcessor)
    return processor


def _config(tokenizer: Qwen2Tokenizer) -> Qwen3OmniMoeConfig:
    def token(text: str) -> int:
        return token_id(tokenizer, text)

    media = marks_of(tokenizer, "token_id") | {"position_id_per_seconds": 13, "seconds_per_chunk": 2}
    return Qwen3OmniMoeConfig(
        thinker_config={
            "text_config": _text_config(len(tokenizer)),
            "audio_config": _AUDIO,
            "vision_config": _VISION,
            "user_token_id": token("user"),
            **media,
        },
        talker_config={**_talker_config(), **media},
        code2wav_config=_CODE2WAV,
        im_start_token_id=token("<|im_start|>"),
        im_end_token_id=token("<|im_end|>"),
        tts_pad_token_id=token("<tts_pad>"),
        tts_bos_token_id=token("<tts_text_bos>"),
        tts_eos_token_id=token("<tts_text_eod>"),
        system_token_id=token("system"),
        user_token_id=token("user"),
        assistant_token_id=token("assistant"),
    )


_ROPE: Final = {
    "rope_type": "default", "rope_theta": 1e6, "mrope_section": [4, 2, 2], "mrope_interleaved": True,
    "interleaved": True,
}  # fmt: skip


def _text_config(vocabulary: int) -> dict[str, Any]:
    return {
        "vocab_size": -(-vocabulary // 8) * 8,
        "hidden_size": _HIDDEN,
        "head_dim": _HEAD,
        "intermediate_size": 96,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 4096,
        "moe_intermediate_size": 32,
        "num_experts": 4,
        "num_experts_per_tok": 2,
        "rope_parameters": _ROPE,
    }


def _talker_config() -> dict[str, Any]:
    return {
        "text_config": {
            "vocab_size": CODEBOOK + 1024,
            "hidden_size": _TALKER_HIDDEN,
            "head_dim": _HEAD,
            "intermediate_size": 64,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "max_position_embeddings": 4096,
            "moe_intermediate_size": 32,
            "shared_expert_intermediate_size": 32,
            "num_experts": 4,
            "num_experts_per_tok": 2,
            "rope_parameters": _ROPE,
        },
        "code_predictor_config": {
            "vocab_size": CODEBOOK,
            "hidden_size": _TALKER_HIDDEN,
            "head_dim": _HEAD,
            "intermediate_size": 64,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "max_position_embeddings": 128,
            "num_code_groups": GROUPS,
        },
        "num_code_groups": GROUPS,
        "thinker_hidden_size": _HIDDEN,
        "accept_hidden_layer": 1,
        "codec_eos_token_id": 2150 + _OFFSET,
        "codec_nothink_id": 2155 + _OFFSET,
        "codec_think_bos_id": 2156 + _OFFSET,
        "codec_think_eos_id": 2157 + _OFFSET,
        "codec_pad_id": 2148 + _OFFSET,
        "codec_bos_id": 2149 + _OFFSET,
        "speaker_id": VOICES,
        "spatial_merge_size": 2,
    }


_AUDIO: Final = {
    "num_mel_bins": 128, "encoder_layers": 2, "encoder_attention_heads": 2, "encoder_ffn_dim": 64, "d_model": 32,
    "output_dim": _HIDDEN, "downsample_hidden_size": 8, "n_window": 50, "n_window_infer": 800,
}  # fmt: skip
_VISION: Final = {
    "depth": 3, "hidden_size": 32, "intermediate_size": 64, "num_heads": 2, "out_hidden_size": _HIDDEN,
    "patch_size": 16, "spatial_merge_size": 2, "temporal_patch_size": 2, "num_position_embeddings": 64,
    "deepstack_visual_indexes": [0, 1],
}  # fmt: skip
_CODE2WAV: Final = {
    "codebook_size": CODEBOOK, "num_quantizers": GROUPS, "hidden_size": 32, "intermediate_size": 64,
    "num_hidden_layers": 2, "num_attention_heads": 2, "num_key_value_heads": 2, "sliding_window": 8,
    "upsample_rates": [8, 5, 4, 3], "upsampling_ratios": [2, 2], "decoder_dim": 32,
    "rope_parameters": {"rope_type": "default", "rope_theta": 1e4},
}  # fmt: skip


@torch.no_grad()
def _stir(model: Qwen3OmniMoeForConditionalGeneration, scale: float) -> None:
    """Matrices at random, vectors near one or near nothing, as a trained model has them."""
    for name, parameter in model.named_parameters():
        if name.endswith(("alpha", "beta")) or (name.endswith("bias") and parameter.ndim == 1):
            parameter.normal_(0.0, 0.1)
        elif parameter.ndim == 1:
            parameter.normal_(0.5 if name.endswith(("gamma", "scale")) else 1.0, 0.1)
        elif "embed" in name and "patch" not in name:
            parameter.normal_(0.0, 1.0)
        elif name.startswith("code2wav."):
            parameter.normal_(0.0, (0.5 if ".decoder." in name else 1.0) * _fan_in(name, parameter) ** -0.5)
        else:
            parameter.normal_(0.0, scale)


def _fan_in(name: str, weight: torch.Tensor) -> int:
    """Terms in a sum: with their inverse as the variance, the waveform is no silence and is not cut off either."""
    if weight.ndim == 3 and (".block.1." in name or re.search(r"upsample\.\d+\.0\.", name)):
        return weight.shape[0] * (1 if "upsample" in name else 2)  # transposed: kernel / stride terms a channel
    return weight[0].numel()
