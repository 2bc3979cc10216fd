"""Tiny encoders with random weights, saved as sentence-transformers lays them out."""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast, Qwen3Config, Qwen3Model
from transformers.utils.logging import disable_progress_bar

__all__ = ["DENSE_SIZE", "LONGEST", "SIZE", "WORDS", "dense", "save"]

SIZE, LONGEST, DENSE_SIZE = 48, 40, 32
WORDS = ["quick", "brown", "fox", "lazy", "dog", "京", "naïve", "🙂", "one", "two"]


def _make_tokenizer() -> PreTrainedTokenizerFast:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    special = ["[PAD]", "[CLS]", "[SEP]"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    tokenizer.train_from_iterator(
        [" ".join(WORDS)],
        trainers.BpeTrainer(vocab_size=300, special_tokens=special, initial_alphabet=alphabet, show_progress=False),
    )
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 1), ("[SEP]", 2)]
    )
    fast: PreTrainedTokenizerFast = PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=tokenizer, pad_token="[PAD]", cls_token="[CLS]", sep_token="[SEP]"
    )
    return fast


def save(folder: Path, rule: str) -> tuple[Any, PreTrainedTokenizerFast]:
    """`rule`: of BERT with a pooling module and normalisation, of BERT without a word about it, of a decoder, or of
    BERT with two more layers behind the pooling."""
    disable_progress_bar()  # type: ignore[no-untyped-call]  # it would leave a thread and a semaphore behind
    torch.manual_seed(3)
    tokenizer = _make_tokenizer()
    common: dict[str, Any] = {
        "hidden_size": SIZE, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64,
        "vocab_size": len(tokenizer), "initializer_range": 0.2,
    }  # fmt: skip
    model: Any
    if rule == "last":
        model = Qwen3Model(Qwen3Config(**common, num_key_value_heads=2, head_dim=12, max_position_embeddings=LONGEST))
    else:
        model = BertModel(BertConfig(**common, max_position_embeddings=64), add_pooling_layer=rule != "nothing")
    model.eval()
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    if rule != "nothing":
        modes = {
            "cls": "pooling_mode_cls_token", "last": "pooling_mode_lasttoken", "dense": "pooling_mode_mean_tokens",
        }  # fmt: skip
        names = ("pooling_mode_cls_token", "pooling_mode_mean_tokens", "pooling_mode_lasttoken")
        (folder / "1_Pooling").mkdir()
        (folder / "1_Pooling/config.json").write_text(json.dumps({name: name == modes[rule] for name in names}))
        kinds = [("", "Transformer"), ("1_Pooling", "Pooling"), ("2_Normalize", "Normalize")]
        if rule == "dense":
            kinds[2:2] = [("2_Dense", "Dense"), ("3_Dense", "Dense")]
            _save_dense(folder / "2_Dense", SIZE, 96, "Identity", bias=False)
            _save_dense(folder / "3_Dense", 96, DENSE_SIZE, "Tanh", bias=True)
        modules = [{"path": path, "type": f"sentence_transformers.models.{kind}"} for path, kind in kinds]
        (folder / "modules.json").write_text(json.dumps(modules))
        (folder / "sentence_bert_config.json").write_text(json.dumps({"max_seq_length": LONGEST}))
    return model, tokenizer


def dense(folder: Path, pooled: torch.Tensor) -> torch.Tensor:
    """What the two layers make of a pooled vector, from their files, in as few words as torch needs."""
    first, second = load_file(folder / "2_Dense/model.safetensors"), torch.load(folder / "3_Dense/pytorch_model.bin")
    return torch.tanh(second["linear.weight"] @ (first["linear.weight"] @ pooled) + second["linear.bias"])


def _save_dense(folder: Path, takes: int, gives: int, activation: str, *, bias: bool) -> None:
    """The first as newer releases save it, the one with a bias as older ones did."""
    folder.mkdir()
    name = f"torch.nn.modules.{'linear' if activation == 'Identity' else 'activation'}.{activation}"
    config = {"in_features": takes, "out_features": gives, "bias": bias, "activation_function": name}
    (folder / "config.json").write_text(json.dumps(config))
    weights = {"linear.weight": torch.randn(gives, takes) / takes**0.5}
    if bias:
        torch.save(weights | {"linear.bias": torch.randn(gives)}, folder / "pytorch_model.bin")
    else:
        save_file(weights, folder / "model.safetensors")
