"""The tokenizer: Qwen's, with a token for every byte and none for longer pieces, so that a character of an answer is a
step of the talker. The names of the roles are tokens of their own, as the talker's input demands."""

from typing import Final

from tokenizers import AddedToken
from tokenizers.pre_tokenizers import ByteLevel
from transformers import Qwen2Tokenizer

__all__ = ["ROLES", "make_tokenizer", "token_id"]

ROLES: Final = ("system", "user", "assistant")
_NAMED: Final = {
    "image_token": "<|image_pad|>",
    "audio_token": "<|audio_pad|>",
    "video_token": "<|video_pad|>",
    "vision_bos_token": "<|vision_start|>",
    "vision_eos_token": "<|vision_end|>",
    "audio_bos_token": "<|audio_start|>",
    "audio_eos_token": "<|audio_end|>",
}
_OTHERS: Final = ("<|im_start|>", "<|im_end|>", "<tts_pad>", "<tts_text_bos>", "<tts_text_eod>")


def make_tokenizer() -> Qwen2Tokenizer:
    tokenizer = Qwen2Tokenizer(
        vocab={character: number for number, character in enumerate(sorted(ByteLevel.alphabet()))},
        merges=[],
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        extra_special_tokens=[*_OTHERS, *_NAMED.values()],
        model_specific_special_tokens=_NAMED,
    )
    tokenizer.add_tokens([AddedToken(role, normalized=False) for role in ROLES])
    return tokenizer


def token_id(tokenizer: Qwen2Tokenizer, text: str) -> int:
    (token,) = tokenizer.encode(text)
    return int(token)
