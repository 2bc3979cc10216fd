"""Whether the kernel computes what plain operations do, here: on random slices, all of its kinds, the memory included.

It runs as a process of its own before a stage uses the kernel: what the compiler or the device make of it then harms
nobody, and what was compiled lies in Triton's cache.

    python -m omnipipe.engines.autoregressive.cuda.trial '{"device": "cuda:0", "dtype": "bfloat16", ...}'
"""

import json
import os
import random
import signal
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import torch

from omnipipe.engines.autoregressive.architecture import Architecture, LayerShape
from omnipipe.engines.autoregressive.cuda.device_step import DeviceStep
from omnipipe.engines.autoregressive.kv import KvMemory, PagedStep, Place

__all__ = ["LayerKind", "Trial", "differences"]

LIMIT_S: Final = 300
"""The process ends itself after that."""

_STEPS: Final = (
    ((1, 40),),
    ((1, 1), (1, 17), (1, 530), (1, 256)),
    ((3, 9), (1, 64), (5, 5)),
    ((70, 70), (1, 33), (30, 130), (1, 16)),
    ((21, 600),),
)
"""(rows, context) of the slices of a step."""
_TOLERANCE: Final = {torch.float32: 1e-5, torch.float16: 2e-3, torch.bfloat16: 2e-2}
"""Of the largest number that attention gives: against plain operations in f32."""
_LONG: Final = 512
_MANY: Final = 1024
"""Processors: slices that are long are cut into parts."""


@dataclass(frozen=True, slots=True)
class LayerKind:
    """What the kernel is compiled for."""

    heads: int
    kv_heads: int
    key_dim: int
    value_dim: int
    window: int = 0
    softcap: float = 0.0
    sinks: bool = False


@dataclass(frozen=True, slots=True)
class Trial:
    device: str
    dtype: str
    slots: int
    kinds: Sequence[LayerKind]

    def text(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def of(cls, text: str) -> "Trial":
        given: Mapping[str, Any] = json.loads(text)
        kinds = [LayerKind(**kind) for kind in given["kinds"]]
        return cls(given["device"], given["dtype"], given["slots"], kinds)


def differences(trial: Trial, seed: int = 0) -> Iterator[str]:
    """What is not the same; each comparison is made as it is asked for."""
    device, dtype = torch.device(trial.device), getattr(torch, trial.dtype)
    random_ = random.Random(seed)
    torch.manual_seed(seed)
    for kind in trial.kinds:
        for slices in _STEPS:
            for processors in (1, _MANY) if max(context for _, context in slices) >= _LONG else (1,):
                found = _difference(kind, slices, processors, trial.slots, dtype, device, random_)
                if found:
                    yield f"{kind}, slices {slices}: {found}"


def _difference(
    kind: LayerKind,
    slices: Sequence[tuple[int, int]],
    processors: int,
    slots: int,
    dtype: torch.dtype,
    device: torch.device,
    random_: random.Random,
) -> str:
    layers = (LayerShape(kind.kv_heads, kind.key_dim, kind.value_dim),)
    architecture = Architecture(layers, context=1024, hidden_size=16, vocab_size=16)
    needed = sum(-(-context // slots) for _, context in slices)
    one, other = (KvMemory(architecture, needed + 2, slots, kind_, device) for kind_ in (dtype, torch.float32))
    numbers = random_.sample(range(1, needed + 3), needed)
    places: list[Place] = []
    row = 0
    for size, context in slices:
        used = -(-context // slots)
        places.append(Place(row, size, context, [numbers.pop() for _ in range(used)]))
        row += size
    _fill(one, places, slots, numbers)
    other.keys[0].copy_(one.keys[0])
    other.values[0].copy_(one.values[0])
    query = torch.randn(1, row, kind.heads, kind.key_dim, device=device).to(dtype).transpose(1, 2)
    key = torch.randn(1, row, kind.kv_heads, kind.key_dim, device=device).to(dtype).transpose(1, 2)
    value = torch.randn(1, kind.kv_heads, row, kind.value_dim, device=device).to(dtype)
    options: dict[str, Any] = {"scale": kind.key_dim**-0.5, "window": kind.window, "softcap": kind.softcap}
    sinks = torch.randn(kind.heads, device=device).to(dtype) if kind.sinks else None
    found = DeviceStep.of(one, places, processors).attend(0, query, key, value, **options, sinks=sinks)
    given = query.float(), key.float(), value.float()
    expected = PagedStep(other, places).attend(0, *given, **options, sinks=sinks)
    if not bool(torch.isfinite(found).all()):
        return "not numbers"
    off = float((found.float() - expected).abs().max() / expected.abs().max())
    if off > _TOLERANCE[dtype]:
        return f"off by {off:.2g}"
    for mine, plain in ((one.keys[0], other.keys[0]), (one.values[0], other.values[0])):
        held = torch.tensor([block for place in places for block in place.blocks], device=device)
        if not torch.equal(mine[held].float(), plain[held]):
            return "the memory differs"
        if bool(torch.isfinite(mine[numbers]).any()) or bool(mine[0].any()):
            return "memory that is not its own was written"
    return ""


def _fill(memory: KvMemory, places: Sequence[Place], slots: int, others: Sequence[int]) -> None:
    """What earlier steps have left there. Blocks that nobody holds, and those that are begun in this step, are not
    numbers."""
    keys, values = memory.keys[0], memory.values[0]
    keys[1:] = float("nan")
    values[1:] = float("nan")
    for place in places:
        before = place.context - place.size
        for index, block in enumerate(place.blocks):
            inside = min(slots, before - index * slots)
            if inside > 0:
                keys[block] = 0.0
                values[block] = 0.0
                keys[block, :, :, :inside] = torch.randn_like(keys[block, :, :, :inside])
                values[block, :, :inside] = torch.randn_like(values[block, :, :inside])


def main() -> int:
    signal.alarm(LIMIT_S)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    trial = Trial.of(sys.argv[1])
    if torch.device(trial.device).type == "cuda":
        torch.cuda.set_device(trial.device)  # kernels are launched on the current one
    for difference in differences(trial):
        sys.stdout.write(f"{difference}\n")
        return 1
    return 0


def _end_with_parent() -> None:
    """Standard input ends when whoever started this does."""
    while os.read(0, 1):
        pass
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main())
