"""A tokenizer of 300 tokens: every byte, a few whole words, an end."""

from typing import Any

from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

__all__ = ["END", "byte_tokenizer"]

END = 299
_WORDS = ('{"', '":', "true", "false", "null", '"}', "]}", "Ġ1", "Ġthe", "ing", "é")


def byte_tokenizer(*, swapped: bool = False) -> PreTrainedTokenizerFast:
    """`swapped`: two of its words have each other's ids."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    words = [word for word in _WORDS if word not in alphabet]
    vocabulary = {text: number for number, text in enumerate([*alphabet, *words])}
    for number in range(len(vocabulary), END):
        vocabulary[f"<unused {number}>"] = number
    vocabulary["<end>"] = END
    if swapped:
        vocabulary["Ġthe"], vocabulary["ing"] = vocabulary["ing"], vocabulary["Ġthe"]
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    make: Any = PreTrainedTokenizerFast  # its constructor is not typed
    made = make(tokenizer_object=tokenizer, eos_token="<end>")
    assert isinstance(made, PreTrainedTokenizerFast)
    return made
