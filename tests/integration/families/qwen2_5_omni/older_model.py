"""A tiny Qwen2.5-Omni with random weights, in a folder laid out as the real model's."""

from pathlib import Path
from typing import Any, Final

import torch
from tests.integration.families.omni_parts.small_models import make_tokenizer, marks_of, save_small_model, token_id
from transformers import Qwen2_5OmniConfig, Qwen2_5OmniForConditionalGeneration

__all__ = ["END", "PAD", "load_reference", "save_older_model"]

_HIDDEN: Final = 64
_CODES: Final = 64
PAD, _START, END, _MASK = range(_CODES, _CODES + 4)
_MELS: Final = 16
_SPEAKER: Final = 12


def save_older_model(folder: Path, seed: int = 0) -> Path:
    tokenizer = make_tokenizer()
    torch.manual_seed(seed)
    model = Qwen2_5OmniForConditionalGeneration(_config(tokenizer))
    _stir(model)
    save_small_model(folder, model, tokenizer, processor="Qwen2_5OmniProcessor", patch=14)
    torch.save(
        {
            name: {
                "bos_token": token_id(tokenizer, "<tts_text_bos>"),
                "cond": torch.randn(1, _SPEAKER),
                "ref_mel": torch.randn(1, 30 + 10 * at, _MELS),
            }
            for at, name in enumerate(("Chelsie", "Ethan"))
        },
        folder / "spk_dict.pt",
    )
    return folder


def load_reference(folder: Path) -> Any:
    kind: Any = Qwen2_5OmniForConditionalGeneration  # transformers does not type this
    model = kind.from_pretrained(folder, dtype=torch.float32)
    model.train(False)
    return model


def _config(tokenizer: Any) -> Qwen2_5OmniConfig:
    def token(text: str) -> int:
        return token_id(tokenizer, text)

    media = marks_of(tokenizer, "token_index") | {"position_id_per_seconds": 25, "seconds_per_chunk": 2}
    text = {
        **_layers(_HIDDEN),
        "vocab_size": -(-len(tokenizer) // 8) * 8,
    }
    make: Any = Qwen2_5OmniConfig  # its type leaves out what every configuration has
    made: Qwen2_5OmniConfig = make(
        thinker_config={
            "text_config": text,
            "audio_config": _AUDIO,
            "vision_config": _VISION,
            "user_token_id": token("user"),
            **media,
        },
        talker_config={
            **_layers(48),
            "head_dim": 16,
            "vocab_size": _CODES + 8,
            "embedding_size": _HIDDEN,
            "tts_text_start_token_id": token("<tts_text_bos>"),
            "tts_text_end_token_id": token("<tts_text_eod>"),
            "tts_text_pad_token_id": token("<tts_pad>"),
            "tts_codec_start_token_id": _START,
            "tts_codec_end_token_id": END,
            "tts_codec_pad_token_id": PAD,
            "tts_codec_mask_token_id": _MASK,
            "spatial_merge_size": 2,
            **media,
        },
        eos_token_id=token("<|im_end|>"),
        token2wav_config={"dit_config": _FLOW, "bigvgan_config": {"mel_dim": _MELS, "upsample_initial_channel": 64}},
    )
    return made


def _layers(hidden: int) -> dict[str, Any]:
    return {
        "hidden_size": hidden,
        "intermediate_size": 96,
        "num_hidden_layers": 2,
        "num_attention_heads": hidden // 16,
        "num_key_value_heads": 1,
        "max_position_embeddings": 4096,
        "rope_parameters": {"rope_type": "default", "rope_theta": 1e6, "mrope_section": [4, 2, 2]},
    }


_AUDIO: Final = {
    "num_mel_bins": 128, "encoder_layers": 2, "encoder_attention_heads": 2, "encoder_ffn_dim": 64, "d_model": 32,
    "output_dim": _HIDDEN, "n_window": 50,
}  # fmt: skip
_VISION: Final = {
    "depth": 3, "hidden_size": 32, "intermediate_size": 64, "num_heads": 2, "out_hidden_size": _HIDDEN,
    "patch_size": 14, "spatial_merge_size": 2, "temporal_patch_size": 2, "window_size": 56,
    "fullatt_block_indexes": [1],
}  # fmt: skip
_FLOW: Final = {
    "hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 2, "head_dim": 16, "emb_dim": 16,
    "block_size": 4, "look_ahead_layers": [1], "look_backward_layers": [0, 2], "repeats": 2,
    "num_embeds": _CODES + 8, "mel_dim": _MELS, "dropout": 0.0, "enc_emb_dim": _SPEAKER, "enc_dim": 8,
    "enc_channels": [16, 16, 16, 16, 48], "enc_attention_channels": 8, "enc_se_channels": 8,
    "rope_parameters": {"rope_type": "default", "rope_theta": 1e4},
}  # fmt: skip


@torch.no_grad()
def _stir(model: Qwen2_5OmniForConditionalGeneration) -> None:
    """Matrices at random, vectors near one or near nothing, as a trained model has them."""
    for name, parameter in model.named_parameters():
        if name.endswith(("alpha", "beta")) or (name.endswith("bias") and parameter.ndim == 1):
            parameter.normal_(0.0, 0.1)
        elif parameter.ndim == 1:
            parameter.normal_(1.0, 0.1)
        elif "embed_tokens" in name or "codec_embed" in name:
            parameter.normal_(0.0, 1.0)
        elif name.startswith("token2wav."):
            parameter.normal_(0.0, 0.5 * parameter[0].numel() ** -0.5)
        else:
            parameter.normal_(0.0, 0.3)
