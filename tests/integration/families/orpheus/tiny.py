"""Orpheus and SNAC with random weights in the layout of the published ones, made small."""

import json
import warnings
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
from transformers.utils.logging import disable_progress_bar

__all__ = ["CODES", "save_codec", "save_model"]

CODES = 7 * 4096
_MARKS = ["<|begin_of_text|>", "<|eot_id|>"]


def save_codec(folder: Path, *, noise: bool = True) -> Any:
    """The codec as its own package makes it, whose weights are in the folder."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # it scripts a function when it is imported
        from snac import SNAC  # type: ignore[import-untyped]

    config = {
        "sampling_rate": 24000, "encoder_dim": 8, "encoder_rates": [2, 4, 8, 8], "decoder_dim": 64,
        "decoder_rates": [8, 8, 4, 2], "attn_window_size": None, "codebook_size": 4096, "codebook_dim": 8,
        "vq_strides": [4, 2, 1], "noise": noise, "depthwise": True,
    }  # fmt: skip
    torch.manual_seed(5)
    codec = SNAC(**config).eval()
    with torch.no_grad():  # untrained, they would be all but silent
        for name, parameter in codec.named_parameters():
            if name.endswith("alpha"):
                parameter.uniform_(0.5, 2.0)
            elif name.endswith("original0"):
                parameter.mul_(torch.empty_like(parameter).uniform_(0.8, 1.6))
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(config))
    torch.save(codec.state_dict(), folder / "pytorch_model.bin")
    return codec


def save_model(folder: Path) -> LlamaForCausalLM:
    """Its codes are likelier than all else: an untrained one would hardly ever hit the place whose turn it is."""
    disable_progress_bar()  # type: ignore[no-untyped-call]  # it would leave a thread and a semaphore behind
    torch.manual_seed(7)
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=300, special_tokens=_MARKS, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(["tara: hello there, how are you today"], trainer)
    tokenizer.add_tokens([f"<custom_token_{number}>" for number in range(10 + CODES)])
    tokenizer.post_processor = processors.TemplateProcessing(single=f"{_MARKS[0]} $A", special_tokens=[(_MARKS[0], 0)])
    fast: PreTrainedTokenizerFast = PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=tokenizer, bos_token=_MARKS[0], eos_token=_MARKS[1]
    )
    fast.save_pretrained(folder)
    config = LlamaConfig(
        hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
        vocab_size=len(fast), max_position_embeddings=4096, initializer_range=0.4, eos_token_id=None,
        bos_token_id=0, pad_token_id=1,
    )  # fmt: skip
    model = LlamaForCausalLM(config)
    model.train(False)
    model.save_pretrained(folder)
    return model
