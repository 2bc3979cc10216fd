"""Runs the slices of a step through the model: one packed row in, logits of the rows that sample (and hidden states of
those that were asked for) out. Must not know requests, sampling or scheduling."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from transformers import PreTrainedModel

from omnipipe.engines.autoregressive.architecture import Architecture
from omnipipe.engines.autoregressive.attention import STEP, AttentionStep
from omnipipe.engines.autoregressive.fusion import Fusion
from omnipipe.engines.autoregressive.kv import KvMemory, PagedStep, Place
from omnipipe.engines.autoregressive.scheduler import Slice
from omnipipe.engines.autoregressive.sequence import Sequence as Generated
from omnipipe.engines.autoregressive.sequence import Span
from omnipipe.engines.autoregressive.straight import Straight

if TYPE_CHECKING:
    from omnipipe.engines.autoregressive.cuda.quick import Quick

__all__ = ["Output", "Runner"]


@dataclass(slots=True)
class Output:
    logits: torch.Tensor
    """`[n, vocabulary]` in f32: one row for each slice that samples and for each of its guesses, in their order."""
    hidden: dict[int, torch.Tensor]
    """Layer -> `[T, hidden]`, all rows of the step."""
    scored: torch.Tensor | None = None
    """`[n, vocabulary]` in f32: a row for each of the `scored` positions of the slices, in their order."""


class Runner:
    """`hidden_layers` as in `program.AutoregressiveProgram`. `fusion`: what is still to be done to the model. `quick`:
    what computes steps on a GPU."""

    def __init__(
        self,
        model: PreTrainedModel,
        architecture: Architecture,
        memory: KvMemory,
        hidden_layers: Sequence[int] = (),
        fusion: Fusion | None = None,
        quick: "Quick | None" = None,
    ) -> None:
        self.quick = quick
        self._model = model
        self._embed = model.get_input_embeddings()
        self._memory = memory
        self._device = model.device
        layers = len(architecture.layers)
        wanted = {layer: layer if layer >= 0 else layers + 1 + layer for layer in hidden_layers}
        if any(not 0 <= layer <= layers for layer in wanted.values()):
            raise ValueError(f"hidden layers {tuple(hidden_layers)} of a model with {layers} layers")
        self._wanted = wanted
        self._straight: Straight | None = None
        self._fusion = fusion
        if fusion is not None and fusion.finish():
            self._end_fusion(fusion)

    def forward(self, slices: Sequence[Slice], *, hidden: bool = False) -> Output:
        if self._fusion is not None and self._fusion.advance():
            self._end_fusion(self._fusion)
        ids: list[int] = []
        positions: list[int] = []
        places: list[Place] = []
        rows: list[int] = []
        scored: list[int] = []
        patches: list[_Patch] = []
        for piece in slices:
            row, size, end = len(ids), piece.rows, piece.start + piece.rows
            ids += piece.ids
            positions += range(piece.start, end)
            used = -(-end // self._memory.block_tokens)
            places.append(Place(row, size, end, piece.sequence.blocks[:used]))
            if piece.samples:
                rows += range(row + max(piece.size - 1, 0), row + size)
            if asked := piece.scored:
                scored += range(row + asked.start - piece.start, row + asked.stop - piece.start)
            if piece.sequence.spans:
                patches += _patches(row, piece)
        states: dict[int, torch.Tensor] = {}
        wants_hidden = hidden and bool(self._wanted)

        plain = not (wants_hidden or patches) and all(piece.sequence.rope is None for piece in slices)

        def compute(step: AttentionStep) -> torch.Tensor:
            lie = self._positions(slices, positions)
            keep = torch.tensor(rows + scored, dtype=torch.long, device=self._device)
            if plain:
                return self._logits(torch.tensor([ids], device=self._device), lie, keep, step)
            logits, found = self._call(self._inputs(ids, patches), lie, keep, step, wants_hidden)
            states.update(found)
            return logits

        if self.quick is None:
            logits = compute(PagedStep(self._memory, places))
        elif plain and not scored and len(rows) == len(places) == len(ids):
            logits = self.quick.decode(places, ids, self._logits, compute)
        else:
            logits = self.quick.run(places, compute)
        if scored:
            return Output(logits[: len(rows)], states, logits[len(rows) :])
        return Output(logits, states)

    def _logits(
        self, ids: torch.Tensor, positions: torch.Tensor, keep: torch.Tensor, step: AttentionStep
    ) -> torch.Tensor:
        """`[n, vocabulary]` in f32, of token ids alone."""
        if self._straight is not None:
            return self._straight(ids, positions, keep, step)
        return self._call({"input_ids": ids}, positions, keep, step, False)[0]

    def _call(
        self, given: dict[str, object], positions: torch.Tensor, keep: torch.Tensor, step: AttentionStep, hidden: bool
    ) -> tuple[torch.Tensor, dict[int, torch.Tensor]]:
        """Logits, and hidden states if they are wanted."""
        out = self._model(
            **given,
            position_ids=positions,
            use_cache=False,
            logits_to_keep=keep,
            output_hidden_states=hidden,
            **{STEP: step},
        )
        states = {layer: out.hidden_states[index][0] for layer, index in self._wanted.items()} if hidden else {}
        return out.logits[0].float(), states

    def _end_fusion(self, fusion: Fusion) -> None:
        self._fusion, self._straight = None, fusion.straight

    def _positions(self, slices: Sequence[Slice], counted: list[int]) -> torch.Tensor:
        """`[1, T]`, or `[3, 1, T]` where one of the sequences has positions of three dimensions."""
        if all(piece.sequence.rope is None for piece in slices):
            return torch.tensor([counted], device=self._device)
        rows: tuple[list[float], list[float], list[float]] = ([], [], [])
        for piece in slices:
            start, end, rope = piece.start, piece.start + piece.rows, piece.sequence.rope
            lie = [range(start, end)] * 3 if rope is None else rope.rows(start, end)
            for row, values in zip(rows, lie, strict=True):
                row += values
        return torch.tensor(rows, dtype=torch.float32, device=self._device)[:, None]

    def _inputs(self, ids: list[int], patches: Sequence["_Patch"]) -> dict[str, object]:
        """Token ids, or embeddings when some of the rows are embeddings."""
        if not patches:
            return {"input_ids": torch.tensor([ids], device=self._device)}
        weight: torch.Tensor = self._embed.weight  # type: ignore[assignment]  # a module's attributes have no types
        patched = torch.cat([_tensor(patch.span.embeds, weight)[patch.rows] for patch in patches])
        if len(patched) == len(ids):
            return {"inputs_embeds": patched[None], **self._deep(len(ids), patches, weight)}
        embeds = self._embed(torch.tensor([ids], device=self._device))
        at = [row for patch in patches for row in range(patch.at, patch.at + patch.size)]
        embeds[0].index_copy_(0, torch.tensor(at, device=self._device), patched)
        return {"inputs_embeds": embeds, **self._deep(len(ids), patches, weight)}

    def _deep(self, size: int, patches: Sequence["_Patch"], like: torch.Tensor) -> dict[str, object]:
        """What is added to hidden states on their way, under transformers' names for it: a mask of the rows, and for
        each layer a value for each of these rows."""
        patches = [patch for patch in patches if patch.span.deep]
        if not patches:
            return {}
        rows = torch.zeros((1, size), dtype=torch.bool)
        for patch in patches:
            rows[0, patch.at : patch.at + patch.size] = True
        layers = [
            torch.cat(
                [
                    _tensor(patch.span.deep[layer], like)[patch.rows]
                    if layer < len(patch.span.deep)
                    else like.new_zeros((patch.size, like.shape[1]))
                    for patch in patches
                ]
            )
            for layer in range(max(len(patch.span.deep) for patch in patches))
        ]
        return {"visual_pos_masks": rows.to(self._device), "deepstack_visual_embeds": layers}


@dataclass(frozen=True, slots=True)
class _Patch:
    """Rows of the packed row that are embeddings."""

    at: int
    size: int
    span: Span
    rows: slice
    """Of the span."""


def _patches(row: int, piece: Slice) -> list[_Patch]:
    """Where in the packed row the embeddings of this slice go; in order."""
    start, end = piece.start, piece.start + piece.size
    found = []
    for span in _overlapping(piece.sequence, start, end):
        first, last = max(start, span.start), min(end, span.start + span.size)
        found.append(_Patch(row + first - start, last - first, span, slice(first - span.start, last - span.start)))
    return found[::-1]


def _tensor(embeds: object, like: torch.Tensor) -> torch.Tensor:
    if not isinstance(embeds, torch.Tensor):
        raise TypeError(f"embeddings are {type(embeds).__name__}, not a tensor")
    return embeds.to(like)


def _overlapping(sequence: Generated, start: int, end: int) -> Iterator[Span]:
    """From the end: decoding looks at the newest alone."""
    for span in reversed(sequence.spans):
        if span.start + span.size <= start:
            return
        if span.start < end:
            yield span
