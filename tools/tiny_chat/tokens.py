"""The tokenizer (byte-level BPE over the synthetic text), and conversations as token ids."""

import random
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Final

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from tools.tiny_chat.mixture import conversation
from transformers import PreTrainedTokenizerFast
from transformers.utils.chat_template_utils import render_jinja_template

__all__ = ["CONTEXT", "encode", "render", "train_tokenizer"]

CONTEXT: Final = 2048
PAD: Final = "<|endoftext|>"
START: Final = "<|im_start|>"
END: Final = "<|im_end|>"
_SPECIAL: Final = (PAD, START, END)
_MARKS: Final = ("<tool_call>", "</tool_call>")
_VOCABULARY: Final = 1536
_PIECES: Final = r"[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
"""Words with their space, one digit at a time, runs of signs: the usual pattern."""


@cache
def _template() -> str:
    return (Path(__file__).parent / "chat_template.jinja").read_text()


def render(
    messages: Sequence[Mapping[str, object]], tools: Sequence[Mapping[str, object]], generation: bool = False
) -> str:
    texts = render_jinja_template(
        conversations=[[dict(message) for message in messages]],
        tools=[dict(tool) for tool in tools] or None,
        chat_template=_template(),
        add_generation_prompt=generation,
    )[0]
    return str(texts[0])


def train_tokenizer(seed: int, conversations: int = 20_000) -> PreTrainedTokenizerFast:
    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_PIECES), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    core.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=_VOCABULARY - len(_MARKS),
        special_tokens=list(_SPECIAL),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    core.train_from_iterator(_texts(random.Random(seed), conversations), trainer)
    core.add_tokens([AddedToken(mark, special=False, normalized=False) for mark in _MARKS])
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=core,
        pad_token=PAD,
        eos_token=END,
        additional_special_tokens=[START],
        chat_template=_template(),
        model_max_length=CONTEXT,
        clean_up_tokenization_spaces=False,
        padding_side="left",
    )


def _texts(rng: random.Random, count: int) -> Iterator[str]:
    for _ in range(count):
        text = render(*conversation(rng))
        for mark in (*_SPECIAL, *_MARKS):
            text = text.replace(mark, "")
        yield text


def encode(tokenizer: PreTrainedTokenizerFast, rng: random.Random) -> tuple[list[int], list[bool]]:
    """A conversation's ids, and which of them the model has to say itself: the assistant's, with its end mark."""
    ids: list[int] = tokenizer.backend_tokenizer.encode(render(*conversation(rng)), add_special_tokens=False).ids
    opening = _opening(tokenizer)
    end = tokenizer.convert_tokens_to_ids(END)
    said = [False] * len(ids)
    at = 0
    while at < len(ids):
        if ids[at : at + len(opening)] == opening:
            at += len(opening)
            while True:
                said[at] = True
                if ids[at] == end:
                    break
                at += 1
        at += 1
    return ids, said


@cache
def _opening(tokenizer: PreTrainedTokenizerFast) -> list[int]:
    return list(tokenizer.backend_tokenizer.encode(f"{START}assistant\n", add_special_tokens=False).ids)
