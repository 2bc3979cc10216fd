"""A prompt of the preprocess stage as the engine takes it: runs of tokens, and the embeddings of media between them."""

from collections.abc import Iterator, Sequence

import torch

from omnipipe.engines.autoregressive import program
from omnipipe.families.omni_parts.tensors import to_torch
from omnipipe.families.omni_parts.values import EmbeddedItem, Embeds, Prompt, Span

__all__ = ["prompt_parts"]


def prompt_parts(prompt: Prompt, tokens: Sequence[int], embeds: Sequence[Embeds]) -> list[program.Prompt]:
    """Raises ValueError where embeddings do not fill the places that the prompt has for them."""
    made = {item["item"]: _Made(item) for part in embeds for item in part["items"]}
    positions = to_torch(prompt["positions"]) if "positions" in prompt else None
    return [part for part in _parts(prompt, tokens, made, positions) if len(part)]


class _Made:
    """An item's embeddings."""

    def __init__(self, item: EmbeddedItem) -> None:
        self.embeds = to_torch(item["embeds"])
        self.deep = [to_torch(layer) for layer in item["deep"]]


def _parts(
    prompt: Prompt, tokens: Sequence[int], made: dict[int, _Made], positions: torch.Tensor | None
) -> Iterator[program.Prompt]:
    def at(start: int, end: int) -> torch.Tensor | None:
        return None if positions is None else positions[:, start:end]

    done = 0
    for span in prompt["spans"]:
        start, end = span["start"], span["start"] + span["size"]
        yield program.Prompt(tokens[done:start], positions=at(done, start))
        yield _medium(prompt, span, made, at(start, end))
        done = end
    yield program.Prompt(tokens[done:], positions=at(done, len(tokens)))


def _medium(prompt: Prompt, span: Span, made: dict[int, _Made], positions: torch.Tensor | None) -> program.Prompt:
    item = made.get(span["item"])
    first, last = span["offset"], span["offset"] + span["size"]
    if item is None or last > len(item.embeds):
        there = 0 if item is None else len(item.embeds)
        raise ValueError(f"item {span['item']} has {there} embeddings where the prompt has places for {last}")
    key = prompt["items"][span["item"]]["key"]
    return program.Prompt(
        embeds=item.embeds[first:last],
        key=key + first.to_bytes(4, "little") if key else b"",
        positions=positions,
        deep=[layer[first:last] for layer in item.deep],
    )
