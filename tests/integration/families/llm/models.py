"""Tiny random models with real tokenizers, saved as a hub would have them."""

from pathlib import Path
from typing import Any, Final

import torch
from tests.integration.families.llm.templates import HARMONY, LLAMA3, MISTRAL, QWEN, THINKING
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import (
    AutoModelForCausalLM,
    GPT2Config,
    LlamaConfig,
    PreTrainedConfig,
    PreTrainedTokenizerFast,
    Qwen3Config,
)
from transformers.utils.logging import disable_progress_bar

__all__ = ["MODELS", "save_model", "tokenizer_of"]

_TEXT: Final = [
    "The quick brown fox jumps over the lazy dog, and says hello to the world.",
    '{"name": "get_weather", "arguments": {"city": "Paris", "days": 3}}',
    "Grüße, naïve café; 東京の天気は? 👩‍👩‍👧 é ñ नमस्ते",
    "one two three four five six seven eight nine ten 0 1 2 3 4 5 6 7 8 9",
]

_SPECIAL: Final = {
    "qwen": ["<|endoftext|>", "<|im_start|>", "<|im_end|>"],
    "llama3": [
        "<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>",
        "<|python_tag|>",
    ],
    "mistral": [
        "<s>", "</s>", "[INST]", "[/INST]", "[TOOL_CALLS]", "[AVAILABLE_TOOLS]", "[/AVAILABLE_TOOLS]", "[TOOL_RESULTS]",
        "[/TOOL_RESULTS]",
    ],
    "harmony": [
        "<|return|>", "<|call|>", "<|start|>", "<|end|>", "<|message|>", "<|channel|>", "<|constrain|>",
    ],
    "plain": ["<|endoftext|>"],
}  # fmt: skip

_TINY: Final[dict[str, Any]] = {
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 1024,
    "initializer_range": 0.2,
}

MODELS: Final = ("qwen", "thinking", "llama3", "mistral", "harmony", "plain")
"""By the manner of their templates; `plain` is GPT-2 without one."""


def tokenizer_of(kind: str) -> PreTrainedTokenizerFast:
    """Byte-level BPE: a character that was not in the text it was trained on is several tokens."""
    special = _SPECIAL["qwen" if kind == "thinking" else kind]
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=420,
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_TEXT, trainer)
    if kind in ("qwen", "thinking"):
        plain = ["<tool_call>", "</tool_call>", *(["<think>", "</think>"] if kind == "thinking" else [])]
        tokenizer.add_tokens([AddedToken(text, special=False, normalized=False) for text in plain])
    ends: dict[str, Any] = {"eos_token": special[1] if kind == "mistral" else special[0]}
    if kind in ("qwen", "thinking"):
        ends = {"eos_token": "<|im_end|>", "pad_token": "<|endoftext|>"}
    elif kind == "llama3":
        ends = {"eos_token": "<|eot_id|>", "bos_token": "<|begin_of_text|>"}
    elif kind == "mistral":
        ends |= {"bos_token": "<s>"}
    if "bos_token" in ends:
        bos = ends["bos_token"]
        tokenizer.post_processor = processors.TemplateProcessing(
            single=f"{bos} $A", special_tokens=[(bos, tokenizer.token_to_id(bos))]
        )
    fast: PreTrainedTokenizerFast = PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=tokenizer, additional_special_tokens=special, **ends
    )
    templates = {"qwen": QWEN, "thinking": THINKING, "llama3": LLAMA3, "mistral": MISTRAL, "harmony": HARMONY}
    if kind in templates:
        fast.chat_template = templates[kind]
    return fast


def save_model(folder: Path, kind: str, seed: int = 0) -> Path:
    disable_progress_bar()  # type: ignore[no-untyped-call]  # it would leave a thread and a semaphore behind
    tokenizer = tokenizer_of(kind)
    torch.manual_seed(seed)
    ids = {"eos_token_id": tokenizer.eos_token_id, "bos_token_id": tokenizer.bos_token_id, "pad_token_id": 0}
    common: dict[str, Any] = {**_TINY, "vocab_size": len(tokenizer), **ids}
    config: PreTrainedConfig
    match kind:
        case "plain":
            config = GPT2Config(
                n_embd=64,
                n_layer=2,
                n_head=4,
                n_positions=1024,
                vocab_size=len(tokenizer),
                initializer_range=0.2,
                **ids,
            )
        case "llama3" | "mistral":
            config = LlamaConfig(**common, tie_word_embeddings=False)
        case _:
            config = Qwen3Config(**common, head_dim=16, tie_word_embeddings=False)
    model = AutoModelForCausalLM.from_config(config)  # type: ignore[no-untyped-call]
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
