"""How large every part of tiny-omni is: its config, and the settings of its processor."""

from typing import Any, Final

from tools.tiny_omni.tokens import token_id
from tools.tiny_omni.tones import VOICES
from transformers import Qwen2Tokenizer, Qwen3OmniMoeConfig

__all__ = ["CODEBOOK", "CODEC_EOS", "GROUPS", "HIDDEN", "PREPROCESSOR", "VIDEO_PREPROCESSOR", "make_config"]

CODEBOOK: Final = 64
GROUPS: Final = 4
HIDDEN: Final = 128
_HEAD: Final = 32
CODEC_EOS: Final = CODEBOOK + 102
_MEDIA_POSITIONS_PER_S: Final = 13
_ROPE: Final = {
    "rope_type": "default", "rope_theta": 1e4, "mrope_section": [6, 5, 5], "mrope_interleaved": True,
    "interleaved": True,
}  # fmt: skip
_LAYERS: Final = {
    "head_dim": _HEAD, "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 4096,
}  # fmt: skip
_EXPERTS: Final = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 128, "rope_parameters": _ROPE}


def make_config(tokenizer: Qwen2Tokenizer) -> Qwen3OmniMoeConfig:
    def token(text: str) -> int:
        return token_id(tokenizer, text)

    media = {
        "audio_token_id": token("<|audio_pad|>"),
        "image_token_id": token("<|image_pad|>"),
        "video_token_id": token("<|video_pad|>"),
        "vision_start_token_id": token("<|vision_start|>"),
        "vision_end_token_id": token("<|vision_end|>"),
        "audio_start_token_id": token("<|audio_start|>"),
        "audio_end_token_id": token("<|audio_end|>"),
        "position_id_per_seconds": _MEDIA_POSITIONS_PER_S,
        "seconds_per_chunk": 2,
    }
    return Qwen3OmniMoeConfig(
        thinker_config={
            "text_config": _text(len(tokenizer)),
            "audio_config": _AUDIO,
            "vision_config": _VISION,
            "user_token_id": token("user"),
            **media,
        },
        talker_config={**_talker(), **media},
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


def _text(vocabulary: int) -> dict[str, Any]:
    return {
        "vocab_size": -(-vocabulary // 8) * 8,
        "hidden_size": HIDDEN,
        "intermediate_size": 256,
        "num_hidden_layers": 4,
        **_LAYERS,
        **_EXPERTS,
    }


def _talker() -> dict[str, Any]:
    hidden = 96
    return {
        "text_config": {
            "vocab_size": CODEBOOK + 1024,
            "hidden_size": hidden,
            "intermediate_size": 192,
            "num_hidden_layers": 3,
            "shared_expert_intermediate_size": 96,
            **_LAYERS,
            **_EXPERTS,
            "moe_intermediate_size": 96,
        },
        "code_predictor_config": {
            "vocab_size": CODEBOOK,
            "hidden_size": hidden,
            "intermediate_size": 192,
            "num_hidden_layers": 2,
            "num_code_groups": GROUPS,
            **_LAYERS,
            "max_position_embeddings": 64,
        },
        "num_code_groups": GROUPS,
        "thinker_hidden_size": HIDDEN,
        "accept_hidden_layer": 2,
        "codec_eos_token_id": CODEC_EOS,
        "codec_nothink_id": CODEBOOK + 107,
        "codec_think_bos_id": CODEBOOK + 108,
        "codec_think_eos_id": CODEBOOK + 109,
        "codec_pad_id": CODEBOOK + 100,
        "codec_bos_id": CODEBOOK + 101,
        "speaker_id": {voice: CODEBOOK + 253 + number for number, voice in enumerate(VOICES)},
        "spatial_merge_size": 2,
    }


_AUDIO: Final = {
    "num_mel_bins": 128, "encoder_layers": 2, "encoder_attention_heads": 4, "encoder_ffn_dim": 192, "d_model": 96,
    "output_dim": HIDDEN, "downsample_hidden_size": 24, "n_window": 50, "n_window_infer": 800,
}  # fmt: skip
_VISION: Final = {
    "depth": 2, "hidden_size": 96, "intermediate_size": 192, "num_heads": 4, "out_hidden_size": HIDDEN,
    "patch_size": 16, "spatial_merge_size": 2, "temporal_patch_size": 2, "num_position_embeddings": 64,
    "deepstack_visual_indexes": [0],
}  # fmt: skip
_CODE2WAV: Final = {
    "codebook_size": CODEBOOK, "num_quantizers": GROUPS, "hidden_size": 64, "intermediate_size": 128,
    "num_hidden_layers": 1, "num_attention_heads": 4, "num_key_value_heads": 4, "sliding_window": 8,
    "upsample_rates": [8, 5, 4, 3], "upsampling_ratios": [2, 2], "decoder_dim": 96,
    "rope_parameters": {"rope_type": "default", "rope_theta": 1e4},
}  # fmt: skip

_PIXELS: Final = {
    "processor_class": "Qwen3OmniMoeProcessor",
    "image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5],
    "merge_size": 2, "patch_size": 16, "temporal_patch_size": 2,
}  # fmt: skip
PREPROCESSOR: Final = {
    **_PIXELS,
    "feature_extractor_type": "WhisperFeatureExtractor",
    "image_processor_type": "Qwen2VLImageProcessor",
    "chunk_length": 300, "dither": 0.0, "feature_size": 128, "hop_length": 160, "n_fft": 400, "n_samples": 4800000,
    "nb_max_frames": 30000, "padding_side": "right", "padding_value": 0.0, "return_attention_mask": True,
    "sampling_rate": 16000,
    "max_pixels": 80 * 80, "min_pixels": 64 * 64,
}  # fmt: skip
VIDEO_PREPROCESSOR: Final = {
    **_PIXELS,
    "video_processor_type": "Qwen2VLVideoProcessor",
    "max_pixels": 32 * 32, "min_pixels": 32 * 32,
}  # fmt: skip
