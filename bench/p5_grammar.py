"""P5: what it costs to hold answers to a grammar: the same load free and constrained, in turns, on one engine.

A vocabulary of 32,000 pieces and a JSON schema with a long text in it, so that nearly every mask has thousands of
tokens in it and no answer ends early.
"""

import argparse
import random
import statistics
from collections.abc import Sequence
from typing import Any

from bench.engine_load import VOCABULARY, Load, Served, random_model
from bench.row import Row
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from omnipipe.engines.autoregressive.program import Grammar

__all__ = ["rows"]

_MOST = 0.05
_SCHEMA = Grammar(
    "json_schema",
    {
        "type": "object",
        "properties": {
            "kind": {"enum": ["question", "answer"]},
            "words": {"type": "array", "items": {"type": "string", "maxLength": 12}, "minItems": 40},
            "text": {"type": "string", "minLength": 900},
        },
        "required": ["kind", "words", "text"],
        "additionalProperties": False,
    },
)


def _tokenizer() -> PreTrainedTokenizerFast:
    rng = random.Random(3)
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {text: number for number, text in enumerate(alphabet)}
    while len(vocabulary) < VOCABULARY - 1:
        word = rng.choice(["", "Ġ"]) + "".join(rng.choices("etaoinshrdlucmfwypvbgkqjxz", k=rng.randint(2, 9)))
        vocabulary.setdefault(word, len(vocabulary))
    vocabulary["<end>"] = len(vocabulary)
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    make: Any = PreTrainedTokenizerFast
    made = make(tokenizer_object=tokenizer, eos_token="<end>")
    assert isinstance(made, PreTrainedTokenizerFast)
    return made


def rows(runs: int = 5, only: Sequence[str] = ()) -> list[Row]:
    served = Served(random_model(eos_token_id=VOCABULARY - 1), tokenizer=_tokenizer())
    rng = random.Random(4)
    found = []
    for count in (1, 8, 32):
        if only and f"b{count}" not in only:
            continue
        prompts = [[rng.randrange(2, VOCABULARY) for _ in range(64)] for _ in range(count)]
        free = Load("free", prompts, [64] * count)
        held = Load("held", prompts, [64] * count, grammar=_SCHEMA)
        served.run(free)
        served.run(held)
        pairs = [(served.run(held), served.run(free)) for _ in range(runs)]
        figure, baseline = (64 * count / statistics.median(column) for column in zip(*pairs, strict=True))
        cost = statistics.median(held_s / free_s for held_s, free_s in pairs) - 1
        found.append(
            Row(
                "P5",
                f"held to a JSON schema, b{count}",
                f"{figure:,.0f} tok/s: {cost:+.1%} time",
                f"{baseline:,.0f} tok/s free",
                1 + cost,
                f"<= {_MOST:.0%}",
                cost <= _MOST,
            )
        )
    served.engine.close()
    return found


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("only", nargs="*")
    parser.add_argument("--runs", type=int, default=5)
    given = parser.parse_args()
    for row in rows(given.runs, given.only):
        print(row)
