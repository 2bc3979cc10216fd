"""The quicker ways to compute a step on a GPU, each used only once it has given there what plain operations give.

    first step: plain, and what its attention is like is noted ──► a trial of the kernel in a process of its own
    ──► some steps with both, layer by layer ──► the kernel
    ──► some steps more of one size ──► captured ──► some steps with both ──► the graph

Whatever differs or fails on the way stays off for good, with one line in the log that says why, and the step at hand is
computed as before. Running out of memory later on is the engine's to survive, in smaller steps. Must not know requests.
"""

import logging
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Final

import torch

from omnipipe.engines.autoregressive.attention import AttentionStep
from omnipipe.engines.autoregressive.cuda.device_step import NARROW, DeviceStep, KernelFailed, processors
from omnipipe.engines.autoregressive.cuda.graphs import Capture, CudaCapture, DecodeGraph, Forward, sizes
from omnipipe.engines.autoregressive.cuda.rehearsal import Rehearsal, apart
from omnipipe.engines.autoregressive.cuda.trial import LayerKind, Trial
from omnipipe.engines.autoregressive.kv import KvMemory, PagedStep, Place
from omnipipe.engines.program import attempt

__all__ = ["Quick"]

_log = logging.getLogger(__name__)

_COMPARED: Final = 3
"""Steps that are computed in both ways."""
_BEFORE_CAPTURE: Final = 16
"""Steps of a size before it is captured: what is rare is not worth the wait, and the first answers have come."""
_ATTENTION: Final = {torch.float32: 1e-4, torch.float16: 2e-2, torch.bfloat16: 1e-1}
"""How far attention may be off, as a part of the largest number: plain operations round scores to the model's type. The
trial before is against f32, and narrower."""
_LOGITS: Final = {torch.float32: 1e-3, torch.float16: 1e-2, torch.bfloat16: 6e-2}
"""How far logits may be off, as a part of their own length: in a padded batch products round differently. A graph that
reads or writes the wrong memory is off by all of it."""

Compute = Callable[[AttentionStep], torch.Tensor]


class Quick:
    """`width`: blocks that a sequence has at most. `stage` is for logs."""

    def __init__(
        self,
        memory: KvMemory,
        *,
        max_batch: int,
        width: int,
        stage: str,
        capture: Capture | None = None,
        rehearse: Callable[[Trial], str] = apart,
    ) -> None:
        self._memory = memory
        self._device = memory.keys[0].device
        self._dtype = memory.keys[0].dtype
        self._processors = processors(self._device)
        self._width = width
        self._stage = stage
        self._capture = CudaCapture(self._device) if capture is None else capture
        self._rehearse = rehearse
        self.rehearsal: Rehearsal | None = None
        self.kernel_on = True
        """Until it is found wanting."""
        self.graphs_on = True
        self._agreed = {True: 0, False: 0}
        """Of wide steps and of narrow ones: steps in which both ways were the same."""
        self._sizes = sizes(max_batch)
        self._seen = dict.fromkeys(self._sizes, 0)
        self._graphs: dict[int, DecodeGraph] = {}

    def run(self, places: Sequence[Place], compute: Compute) -> torch.Tensor:
        """`compute`: the model, with the step that its layers are to attend in."""
        plain = PagedStep(self._memory, places)
        if not self.kernel_on:
            return compute(plain)
        if self.rehearsal is None:
            return self._note(plain, compute)
        if not self._rehearsed(self.rehearsal):
            return compute(plain)
        wide = max(place.size for place in places) > NARROW
        with self._current():
            step = DeviceStep.of(self._memory, places, self._processors)
            if self._agreed[wide] < _COMPARED:
                return self._compare(wide, step, plain, compute)
            try:
                return compute(step)
            except KernelFailed as error:
                self._end_kernel(str(error))
        return compute(plain)

    def decode(self, places: Sequence[Place], ids: Sequence[int], forward: Forward, compute: Compute) -> torch.Tensor:
        """The same for a step of one token each, in which nothing but logits is wanted. What is returned holds until
        the next step."""
        size = next((size for size in self._sizes if size >= len(ids)), None)
        if size is None or not self.graphs_on or not self.kernel_on or self._agreed[False] < _COMPARED:
            return self.run(places, compute)
        graph = self._graphs.get(size)
        if graph is None:
            self._seen[size] += 1
            if self._seen[size] >= _BEFORE_CAPTURE:
                self._make(size, places, ids, forward)
            return self.run(places, compute)
        found = attempt(self._played, graph, places, ids)
        if isinstance(found, Exception):
            self._end_graphs(f"{type(found).__name__}: {found}")
            return self.run(places, compute)
        if graph.agreed >= _COMPARED:
            return found
        found = found.clone()
        expected = self.run(places, compute)
        off = _off(found, expected)
        if off > _LOGITS[self._dtype]:
            self._end_graphs(f"for {size} rows logits are off by {off:.2g}")
        else:
            graph.agreed += 1
        return expected

    def _note(self, plain: PagedStep, compute: Compute) -> torch.Tensor:
        """The first step tells what the kernel has to be compiled for."""
        noting = _Noting(plain)
        found = compute(noting)
        dtype = str(self._dtype).removeprefix("torch.")
        trial = Trial(str(self._device), dtype, self._memory.block_tokens, noting.kinds)
        self.rehearsal = Rehearsal(trial, self._rehearse)
        return found

    def _rehearsed(self, rehearsal: Rehearsal) -> bool:
        if rehearsal.found:
            self._end_kernel(rehearsal.found)
        return rehearsal.found == ""

    def _compare(self, wide: bool, quick: DeviceStep, plain: PagedStep, compute: Compute) -> torch.Tensor:
        both = _Both(quick, plain)
        try:
            found = compute(both)
        except (KernelFailed, torch.OutOfMemoryError) as error:
            self._end_kernel(str(error))
        else:
            off = float(both.worst)
            if off > _ATTENTION[self._dtype]:
                self._end_kernel(f"attention is off by {off:.2g}")
                return found
            self._agreed[wide] += 1
            if self._agreed[wide] == _COMPARED:
                what = "prompts" if wide else "single tokens"
                _log.info("stage %s: attention of %s is one kernel from now on", self._stage, what)
            return found
        return compute(plain)

    def _make(self, size: int, places: Sequence[Place], ids: Sequence[int], forward: Forward) -> None:
        graph = attempt(self._captured, size, places, ids, forward)
        if isinstance(graph, Exception):  # the driver's, or the model's, which cannot be captured
            self._end_graphs(f"{type(graph).__name__}: {graph}")
        else:
            self._graphs[size] = graph
            _log.info("stage %s: steps of up to %d tokens are captured", self._stage, size)

    def _captured(self, size: int, places: Sequence[Place], ids: Sequence[int], forward: Forward) -> DecodeGraph:
        with self._current():
            graph = DecodeGraph(forward, self._memory, size, self._width, self._capture)
            graph.capture(places, ids)
        return graph

    def _played(self, graph: DecodeGraph, places: Sequence[Place], ids: Sequence[int]) -> torch.Tensor:
        with self._current():
            return graph(places, ids)

    def _end_kernel(self, why: str) -> None:
        self.kernel_on = False
        self._graphs.clear()
        _log.warning("stage %s: attention stays plain operations: %s", self._stage, _line(why))

    def _end_graphs(self, why: str) -> None:
        self.graphs_on = False
        self._graphs.clear()
        _log.warning("stage %s: steps are not captured: %s", self._stage, _line(why))

    def _current(self) -> AbstractContextManager[object]:
        """Kernels are launched on the current device."""
        return torch.cuda.device(self._device) if self._device.type == "cuda" else nullcontext()


class _Noting:
    """An `AttentionStep` that notes what is asked of it."""

    def __init__(self, step: PagedStep) -> None:
        self._step = step
        self._kinds: dict[LayerKind, None] = {}

    @property
    def kinds(self) -> list[LayerKind]:
        return list(self._kinds)

    def attend(
        self,
        layer: int,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        *,
        scale: float,
        window: int,
        softcap: float,
        sinks: torch.Tensor | None = None,
    ) -> torch.Tensor:
        dims = query.shape[1], key.shape[1], key.shape[3], value.shape[3]
        self._kinds[LayerKind(*dims, window, softcap, sinks is not None)] = None
        return self._step.attend(
            layer, query, key, value, scale=scale, window=window, softcap=softcap, sinks=sinks
        )  # fmt: skip


class _Both:
    """An `AttentionStep` that is computed twice. The plain one last: what it has written is what stays."""

    def __init__(self, quick: DeviceStep, plain: PagedStep) -> None:
        self._quick = quick
        self._plain = plain
        self.worst: torch.Tensor | float = 0.0
        """Of the largest number that a layer's attention gave."""

    def attend(
        self,
        layer: int,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        *,
        scale: float,
        window: int,
        softcap: float,
        sinks: torch.Tensor | None = None,
    ) -> torch.Tensor:
        one, other = (
            step.attend(layer, query, key, value, scale=scale, window=window, softcap=softcap, sinks=sinks)
            for step in (self._quick, self._plain)
        )
        off = _apart(one, other).abs().max() / _numbers(other).abs().max().clamp(min=1e-6)
        self.worst = torch.maximum(off, torch.as_tensor(self.worst, device=off.device))
        return other


def _off(found: torch.Tensor, expected: torch.Tensor) -> float:
    """Of the row that is furthest off, as a part of its length."""
    return float((_apart(found, expected).norm(dim=1) / _numbers(expected).norm(dim=1).clamp(min=1e-6)).max())


def _apart(one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    """Their difference; 0 where both are the same infinity, or neither is a number, as in a request gone wrong;
    infinite where one of them is."""
    same = (one == other) | (one.isnan() & other.isnan())
    return torch.where(same, 0.0, one.float() - other.float()).nan_to_num(nan=torch.inf)


def _numbers(x: torch.Tensor) -> torch.Tensor:
    return x.float().nan_to_num(0.0, 0.0, 0.0)


def _line(text: str) -> str:
    return " ".join(text.split())[:300]
