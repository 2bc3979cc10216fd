"""Runs the slices of a step through the model: one packed row in, logits of the rows that sample (and hidden states of
those that were asked for) out. Must not know requests, sampling or scheduling."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from transformers import PreTrainedModel

from omnipipe.engines.autoregressive.architecture import Architecture
from omnipipe.engines.autoregressive.attention import STEP
from omnipipe.engines.autoregressive.kv import KvMemory, PagedStep, Place
from omnipipe.engines.autoregressive.scheduler import Slice
from omnipipe.engines.autoregressive.sequence import Sequence as Generated
from omnipipe.engines.autoregressive.sequence import Span

__all__ = ["Output", "Runner"]


@dataclass(slots=True)
class Output:
    logits: torch.Tensor
    """`[n, vocabulary]` in f32: one row for each slice that samples, in their order."""
    hidden: dict[int, torch.Tensor]
    """Layer -> `[T, hidden]`, all rows of the step."""


class Runner:
    """`hidden_layers` as in `program.AutoregressiveProgram`."""

    def __init__(
        self, model: PreTrainedModel, architecture: Architecture, memory: KvMemory, hidden_layers: Sequence[int] = ()
    ) -> None:
        self._model = model
        self._embed = model.get_input_embeddings()
        self._memory = memory
        self._device = model.device
        layers = len(architecture.layers)
        wanted = {layer: layer if layer >= 0 else layers + 1 + layer for layer in hidden_layers}
        if any(not 0 <= layer <= layers for layer in wanted.values()):
            raise ValueError(f"hidden layers {tuple(hidden_layers)} of a model with {layers} layers")
        self._wanted = wanted

    def forward(self, slices: Sequence[Slice], *, hidden: bool = False) -> Output:
        ids: list[int] = []
        positions: list[int] = []
        places: list[Place] = []
        rows: list[int] = []
        spans: list[tuple[int, Slice]] = []
        for piece in slices:
            row, end = len(ids), piece.start + piece.size
            ids += piece.sequence.tokens[piece.start : end]
            positions += range(piece.start, end)
            used = -(-end // self._memory.block_tokens)
            places.append(Place(row, piece.size, end, piece.sequence.blocks[:used]))
            if piece.samples:
                rows.append(row + piece.size - 1)
            if piece.sequence.spans:
                spans.append((row, piece))
        wants_hidden = hidden and bool(self._wanted)
        out = self._model(
            **self._inputs(ids, spans),
            position_ids=torch.tensor([positions], device=self._device),
            use_cache=False,
            logits_to_keep=torch.tensor(rows, dtype=torch.long, device=self._device),
            output_hidden_states=wants_hidden,
            **{STEP: PagedStep(self._memory, places)},
        )
        states = {}
        if wants_hidden:
            states = {layer: out.hidden_states[index][0] for layer, index in self._wanted.items()}
        return Output(out.logits[0].float(), states)

    def _inputs(self, ids: list[int], spans: Sequence[tuple[int, Slice]]) -> dict[str, torch.Tensor]:
        """Token ids, or embeddings when some of the rows are embeddings."""
        tokens = torch.tensor([ids], device=self._device)
        patches = [patch for row, piece in spans for patch in _patches(row, piece)]
        if not patches:
            return {"input_ids": tokens}
        embeds = self._embed(tokens)
        for row, rows in patches:
            embeds[0, row : row + rows.shape[0]] = rows.to(embeds)
        return {"inputs_embeds": embeds}


def _patches(row: int, piece: Slice) -> Iterator[tuple[int, torch.Tensor]]:
    """Where in the packed row the embeddings of this slice go."""
    start, end = piece.start, piece.start + piece.size
    for span in _overlapping(piece.sequence, start, end):
        first, last = max(start, span.start), min(end, span.start + span.size)
        if not isinstance(span.embeds, torch.Tensor):
            raise TypeError(f"embeddings are {type(span.embeds).__name__}, not a tensor")
        yield row + first - start, span.embeds[first - span.start : last - span.start]


def _overlapping(sequence: Generated, start: int, end: int) -> Iterator[Span]:
    """From the end: decoding looks at the newest alone."""
    for span in reversed(sequence.spans):
        if span.start + span.size <= start:
            return
        if span.start < end:
            yield span
