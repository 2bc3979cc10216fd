"""What the tiny models of the omni families have in common: tokenizer, marks, and what lies in the folder."""

import json
from pathlib import Path
from typing import Any, Final

from tests.integration.families.omni_parts.chat_template import TEMPLATE
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from transformers import Qwen2Tokenizer
from transformers.utils.logging import disable_progress_bar

__all__ = ["make_tokenizer", "marks_of", "save_small_model", "token_id"]

_NAMED: Final = {
    "image_token": "<|image_pad|>",
    "audio_token": "<|audio_pad|>",
    "video_token": "<|video_pad|>",
    "vision_bos_token": "<|vision_start|>",
    "vision_eos_token": "<|vision_end|>",
    "audio_bos_token": "<|audio_start|>",
    "audio_eos_token": "<|audio_end|>",
}
_OTHERS: Final = ["<|im_start|>", "<|im_end|>", "<tts_pad>", "<tts_text_bos>", "<tts_text_eod>"]

_TEXT: Final = [
    *["system\n", "user\n", "assistant\n"] * 50,
    "The quick brown fox jumps over the lazy dog, and says hello to the world.",
    "What is in the image? What do you hear? Describe the video and count one two three four five.",
    '{"name": "get_weather", "arguments": {"city": "Paris", "days": 3}}',
    "Grüße, naïve café; 東京の天気は?",
]


_PIXELS: Final = {
    "image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5], "max_pixels": 12845056, "min_pixels": 3136,
    "merge_size": 2, "temporal_patch_size": 2,
}  # fmt: skip
_SOUND: Final = {
    "feature_extractor_type": "WhisperFeatureExtractor",
    "chunk_length": 300, "dither": 0.0, "feature_size": 128, "hop_length": 160, "n_fft": 400, "n_samples": 4800000,
    "nb_max_frames": 30000, "padding_side": "right", "padding_value": 0.0, "return_attention_mask": True,
    "sampling_rate": 16000,
}  # fmt: skip


def save_small_model(folder: Path, model: Any, tokenizer: Qwen2Tokenizer, *, processor: str, patch: int) -> None:
    """`processor`: its class. `patch`: pixels of a side."""
    disable_progress_bar()  # type: ignore[no-untyped-call]  # it would leave a thread and a semaphore behind
    folder.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    pixels = {"processor_class": processor, **_PIXELS, "patch_size": patch}
    for name, content in {
        "generation_config.json": {
            "eos_token_id": [token_id(tokenizer, "<|im_end|>")],
            "pad_token_id": token_id(tokenizer, "<|endoftext|>"),
        },
        "preprocessor_config.json": {**pixels, **_SOUND, "image_processor_type": "Qwen2VLImageProcessor"},
        "video_preprocessor_config.json": {**pixels, "video_processor_type": "Qwen2VLVideoProcessor"},
        "chat_template.json": {"chat_template": TEMPLATE},
    }.items():
        (folder / name).write_text(json.dumps(content, indent=2))


def marks_of(tokenizer: Qwen2Tokenizer, placeholder: str) -> dict[str, int]:
    """The media's tokens as configurations name them. `placeholder`: how the names of the media's own tokens end."""
    own = {f"{kind}_{placeholder}": token_id(tokenizer, f"<|{kind}_pad|>") for kind in ("audio", "image", "video")}
    around = {
        f"{kind}_{end}_token_id": token_id(tokenizer, f"<|{kind}_{end}|>")
        for kind in ("vision", "audio")
        for end in ("start", "end")
    }
    return own | around


def make_tokenizer() -> Qwen2Tokenizer:
    trained = Tokenizer(models.BPE())
    trained.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=420, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    trained.train_from_iterator(_TEXT, trainer)
    data = json.loads(trained.to_str())["model"]
    merges: Any = [tuple(merge) for merge in data["merges"]]  # declared as texts, taken as pairs
    tokenizer = Qwen2Tokenizer(
        vocab=data["vocab"],
        merges=merges,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        extra_special_tokens=[*_OTHERS, *_NAMED.values()],
        model_specific_special_tokens=_NAMED,
    )
    assert [len(tokenizer.encode(role)) for role in ("system", "user", "assistant")] == [1, 1, 1]
    return tokenizer


def token_id(tokenizer: Qwen2Tokenizer, text: str) -> int:
    (token,) = tokenizer.encode(text)
    return int(token)
