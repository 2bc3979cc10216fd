"""The encoder stages: features of media to embeddings, by the towers of transformers' thinker.

Both towers take many items packed into one pass. What an item's embeddings are does not depend on its neighbours, so
they are kept by its key for whoever brings it again.
"""

import logging
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final

import torch

from omnipipe.engines.loading import Part, load_model
from omnipipe.engines.program import Emit, Job, Outcome, StageContext
from omnipipe.families.omni_parts.byte_cache import ByteCache
from omnipipe.families.omni_parts.tensors import from_torch, to_torch
from omnipipe.families.omni_parts.values import EmbeddedItem
from omnipipe.weights import resolve
from omnipipe.wire.value import Tensor, Value

__all__ = ["AudioEncoder", "Embedded", "Encoder", "VisionEncoder", "frames_of"]

_log = logging.getLogger(__name__)
_PASS_BYTES: Final = 128 << 20
"""Of features in one pass, unless a single item has more: what a tower makes of them in between is many times that."""
_TOLD_EVERY: Final = 256
"""Items between two lines in the log on how often one was known."""


@dataclass(frozen=True, slots=True)
class Embedded:
    embeds: Tensor
    deep: tuple[Tensor, ...] = ()

    @property
    def nbytes(self) -> int:
        return self.embeds.nbytes + sum(tensor.nbytes for tensor in self.deep)


class Encoder(ABC):
    """A `BatchProgram`: the items of all requests of a step, each once."""

    port: ClassVar[str]
    tower: ClassVar[Any]
    """Of transformers. (Its classes have no common type that says how they are called.)"""

    def __init__(self, context: StageContext) -> None:
        self._stage = context.stage
        loaded = load_model(resolve(context.source or ""), dtype=context.params["dtype"], part=self.part())
        self._loaded = loaded
        self._known: ByteCache[Embedded] = ByteCache(int(context.params["cache_mb"]) << 20)

    @abstractmethod
    def part(self) -> Part:
        """Of the checkpoint."""

    @abstractmethod
    def encode(self, items: Sequence[Value]) -> Sequence[Embedded]:
        """One a item."""

    def groups(self, items: Sequence[Value]) -> Sequence[Sequence[Value]]:
        """Items that can go through the tower together: what one is padded with is nothing to it, unless it says so."""
        return [items]

    def cost(self, job: Job) -> int:
        """Numbers in features."""
        items: list[Value] = job.inputs[self.port]["items"]
        return 1 + sum(int(item["features"].nbytes) // 4 for item in items)

    def run(self, batch: Sequence[Job]) -> Sequence[Outcome | Exception]:
        wanted: dict[bytes, Value] = {item["key"]: item for job in batch for item in job.inputs[self.port]["items"]}
        found = {key: known for key in wanted if (known := self._known.get(key)) is not None}
        alike = self.groups([item for key, item in wanted.items() if key not in found])
        for group in (part for items in alike for part in _passes(items)):
            with torch.inference_mode():
                made = self.encode(group)
            for item, embedded in zip(group, made, strict=True):
                found[item["key"]] = embedded
                self._known.put(item["key"], embedded, embedded.nbytes)
        self._tell(len(wanted))
        return [self._given(job, found) for job in batch]

    def _given(self, job: Job, found: dict[bytes, Embedded]) -> Outcome:
        items: list[EmbeddedItem] = [
            {"item": item["item"], "embeds": found[item["key"]].embeds, "deep": list(found[item["key"]].deep)}
            for item in job.inputs[self.port]["items"]
        ]
        return Outcome([Emit("embeds", {"items": items}, last=True)])

    def _tell(self, items: int) -> None:
        known = self._known
        seen = known.hits + known.misses
        if seen // _TOLD_EVERY != (seen - items) // _TOLD_EVERY:
            _log.info(
                "stage %s: %d of %d items were known, %.1f MiB of embeddings kept",
                self._stage, known.hits, seen, known.nbytes / 2**20,
            )  # fmt: skip


class AudioEncoder(Encoder):
    port = "audio"

    @abstractmethod
    def rows(self, frames: int) -> int:
        """Embeddings that a clip becomes."""

    def part(self) -> Part:
        return Part("thinker.audio_tower.", lambda config: config.thinker_config.audio_config, self.tower)

    def encode(self, items: Sequence[Value]) -> Sequence[Embedded]:
        device = self._loaded.device
        lengths = torch.tensor([frames_of(item) for item in items])
        features = torch.cat([to_torch(item["features"]) for item in items], dim=1)
        output: Any = self._loaded.module(features.to(device, self._loaded.dtype), feature_lens=lengths.to(device))
        sizes = [self.rows(int(length)) for length in lengths]
        return [Embedded(_kept(rows)) for rows in output.last_hidden_state.split(sizes)]


class VisionEncoder(Encoder):
    port = "vision"

    def part(self) -> Part:
        return Part("thinker.visual.", lambda config: config.thinker_config.vision_config, self.tower)

    def encode(self, items: Sequence[Value]) -> Sequence[Embedded]:
        loaded = self._loaded
        model: Any = loaded.module
        grids = torch.tensor([item["grid"] for item in items])
        features = torch.cat([to_torch(item["features"]) for item in items])
        output = model(features.to(loaded.device, loaded.dtype), grid_thw=grids.to(loaded.device))
        sizes = (grids.prod(-1) // model.spatial_merge_unit).tolist()
        deep = [layer.split(sizes) for layer in self.deep_layers(output)]
        return [
            Embedded(_kept(rows), tuple(_kept(layer[index]) for layer in deep))
            for index, rows in enumerate(output.pooler_output.split(sizes))
        ]

    def deep_layers(self, output: Any) -> Sequence[Any]:
        """What deeper layers of the thinker are given of the pictures; here: nothing."""
        return ()


def _kept(rows: torch.Tensor) -> Tensor:
    """In memory of its own: what is kept for long must not keep the rest of its pass."""
    return from_torch(rows.clone() if rows.device.type == "cpu" else rows)


def _passes(items: Sequence[Value]) -> Iterator[list[Value]]:
    part: list[Value] = []
    nbytes = 0
    for item in items:
        nbytes += item["features"].nbytes
        if part and nbytes > _PASS_BYTES:
            yield part
            part, nbytes = [], item["features"].nbytes
        part.append(item)
    if part:
        yield part


def frames_of(item: Value) -> int:
    """Of the spectrum."""
    return int(item["features"].shape[1])
