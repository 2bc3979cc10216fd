"""Changes a model over to the kernel's own layers, one after the other, between steps.

The model runs once on a few positions as it is, and each of its layers is noted with what it was given and what came
out. A layer of a known kind is then built anew and given the same; only one that says the same takes the old one's
place, and what the model is called does not matter. The others stay as they are. So do experts behind a router that is
not known: by themselves, with what that router gave them. Must not fail: a model that cannot be changed is served as it
is.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import torch
from torch import nn
from torch.nn.functional import scaled_dot_product_attention
from transformers import PreTrainedModel

from omnipipe.engines.autoregressive.architecture import Architecture
from omnipipe.engines.autoregressive.attention import STEP
from omnipipe.engines.autoregressive.experts import FusedExperts, are_experts, read_experts
from omnipipe.engines.autoregressive.kv import KvMemory, PagedStep, Place
from omnipipe.engines.autoregressive.layers import AttentionNumbers, FusedLayer, read_layer
from omnipipe.engines.autoregressive.linears import pack_linears
from omnipipe.engines.autoregressive.straight import Straight, straighten
from omnipipe.engines.kernels.native import NativeKernels

__all__ = ["Fusion"]

_log = logging.getLogger(__name__)

_ROWS: Final = 17
"""Of the run that layers are compared on: more than one tile, and more than a block of positions."""
_TOLERANCE: Final = 2e-4
"""Of what a layer adds; rounding is a hundredth of it."""


@dataclass(slots=True)
class _Note:
    """One layer in the run."""

    layer: nn.Module
    x: torch.Tensor
    given: Mapping[str, Any]
    out: torch.Tensor
    numbers: AttentionNumbers


@dataclass(slots=True)
class _ExpertNote:
    """Experts in the run, and what they were given."""

    experts: nn.Module
    given: tuple[torch.Tensor, ...]
    out: torch.Tensor


@dataclass(slots=True)
class _Recorder:
    """An `AttentionStep` of one sequence that notes how it is called."""

    numbers: dict[int, AttentionNumbers] = field(default_factory=dict)

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
        if sinks is not None:
            raise TypeError("attention with sinks is not the kernel's")
        self.numbers[layer] = AttentionNumbers(query.shape[1], key.shape[1], query.shape[3], scale, window, softcap)
        size, groups = query.shape[2], query.shape[1] // key.shape[1]
        seen = torch.ones((size, size), dtype=torch.bool).tril()
        if window:
            seen &= seen.new_ones((size, size)).triu(1 - window)
        key, value = key.repeat_interleave(groups, 1), value.repeat_interleave(groups, 1)
        if not softcap:
            return scaled_dot_product_attention(query, key, value, seen, scale=scale).transpose(1, 2)
        scores = torch.tanh(torch.matmul(query, key.transpose(2, 3)) * (scale / softcap)) * softcap
        weights = torch.softmax(scores.masked_fill(~seen, float("-inf")), -1)
        return torch.matmul(weights, value).transpose(1, 2)


class Fusion:
    """`stage` is for logs. Waits for the kernel as long as that is being built."""

    def __init__(
        self, model: PreTrainedModel, architecture: Architecture, kernel: NativeKernels, block_tokens: int, stage: str
    ) -> None:
        self._model = model
        self._architecture = architecture
        self._kernel = kernel
        self._block_tokens = block_tokens
        self._stage = stage
        self._notes: dict[int, _Note] | None = None
        self._experts: list[_ExpertNote] = []
        self._memory: KvMemory | None = None
        self.fused = 0
        """Layers that have been changed over."""
        self.routed = 0
        """Of these, those with experts in them."""
        self.experts = 0
        """Layers whose experts have been changed over by themselves."""
        self.straight: Straight | None = None
        """In the end: the model's forward, where it is of a known kind."""

    def advance(self) -> bool:
        """A layer more, between two steps; whether that was all."""
        if not self._kernel.ready:
            if self._kernel.building:
                return False
            pack_linears(self._model)
            return True
        try:
            with torch.inference_mode():
                done = self._advance()
        except Exception as error:  # the boundary to the model's code: it goes on as it is
            _log.warning("stage %s: layers stay as they are: %s: %s", self._stage, type(error).__name__, error)
            done = True
        if done:
            self._notes, self._experts = None, []
            pack_linears(self._model, panels=True)
            self._straighten()
            self._tell()
        return done

    def _tell(self) -> None:
        line = f"{self.fused} of {len(self._architecture.layers)} layers run in the kernel"
        if self.routed:
            line += f", {self.routed} with experts"
        if self.experts:
            line += f"; the experts of {self.experts}, routed by the model"
        _log.info("stage %s: %s", self._stage, line)

    def finish(self) -> bool:
        """All of it at once, if the kernel is there; whether it was."""
        while self._kernel.ready or not self._kernel.building:
            if self.advance():
                return True
        return False

    def _advance(self) -> bool:
        if self._notes is None:
            self._notes = self._record()
        elif self._notes:
            index = next(iter(self._notes))
            self._change(index, self._notes.pop(index))
        elif self._experts:
            self._change_experts(self._experts.pop())
        return not self._notes and not self._experts

    def _straighten(self) -> None:
        try:
            with torch.inference_mode():
                self.straight = straighten(self._model, *self._positions(), self._step())
        except Exception as error:  # the boundary to the model's code: it goes on as it is
            _log.warning("stage %s: called as it is: %s: %s", self._stage, type(error).__name__, error)

    def _positions(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Tokens, and where they are: at both ends of the model's context, for some architectures treat far ones
        differently."""
        half, last = _ROWS // 2, self._architecture.context
        ids = (torch.arange(_ROWS) * 13 + 1) % min(self._architecture.vocab_size, 1000)
        return ids[None], torch.tensor([[*range(_ROWS - half), *range(last - half, last)]])

    def _record(self) -> dict[int, _Note]:
        model, recorder = self._model, _Recorder()
        noted: list[tuple[nn.Module, torch.Tensor, Mapping[str, Any], Any]] = []

        def note(layer: nn.Module, args: tuple[Any, ...], given: dict[str, Any], out: Any) -> None:
            if len(args) == 1 and isinstance(out, torch.Tensor) and given.get(STEP) is recorder:
                noted.append((layer, args[0], given, out))

        def note_experts(experts: nn.Module, args: tuple[torch.Tensor, ...], out: torch.Tensor) -> None:
            self._experts.append(_ExpertNote(experts, args, out))

        layers = [module for module in model.modules() if hasattr(module, "self_attn")]
        hooks = [layer.register_forward_hook(note, with_kwargs=True) for layer in layers]
        hooks += [module.register_forward_hook(note_experts) for module in model.modules() if are_experts(module)]
        try:
            ids, positions = self._positions()
            model(
                input_ids=ids,
                position_ids=positions,
                use_cache=False,
                logits_to_keep=torch.tensor([_ROWS - 1]),
                **{STEP: recorder},
            )
        finally:
            for hook in hooks:
                hook.remove()
        if len({id(layer) for layer, *_ in noted}) < len(noted):
            self._experts = []
            return {}
        found = {}
        for layer, x, given, out in noted:
            index: Any = getattr(layer.self_attn, "layer_idx", None)
            if index in recorder.numbers:
                found[index] = _Note(layer, x, given, out, recorder.numbers[index])
        return found

    def _change(self, index: int, note: _Note) -> None:
        for attention_only in (False, True):
            read = read_layer(note.layer, index, note.numbers, attention_only=attention_only)
            if read is None:
                return
            fused, used = read
            if self._agrees(fused, note):
                break
            _log.info("stage %s: layer %d computes something of its own", self._stage, index)
            if not fused.routes:  # else two experts that are as likely may have changed places by rounding
                return
        layer: Any = note.layer
        layer.forward = fused
        _forget(used)
        self.fused += 1
        self.routed += fused.routes

    def _change_experts(self, note: _ExpertNote) -> None:
        """Those of a layer whose router is the model's own."""
        module: Any = note.experts
        if module.gate_up_proj is None or (fused := read_experts(module)) is None or not _says(fused, note):
            return
        module.forward = fused
        _forget([module])
        self.experts += 1

    def _step(self) -> PagedStep:
        """Of the run that is compared."""
        size = self._block_tokens
        if self._memory is None:
            self._memory = KvMemory(self._architecture, -(-_ROWS // size), size, torch.float32, torch.device("cpu"))
            self._memory.native = self._kernel
        return PagedStep(self._memory, [Place(0, _ROWS, _ROWS, range(1, 1 - -_ROWS // size))])

    def _agrees(self, fused: FusedLayer, note: _Note) -> bool:
        try:
            found = fused(note.x, **{**note.given, STEP: self._step()})
        except RuntimeError as error:
            _log.debug("stage %s: %s", self._stage, error)
            return False
        within = _TOLERANCE * (note.out - note.x).abs().max() + 1e-5 * note.x.abs().max()
        return bool((found - note.out).abs().max() <= within)


def _says(fused: FusedExperts, note: _ExpertNote) -> bool:
    """What these experts said themselves."""
    return bool((fused(*note.given) - note.out).abs().max() <= _TOLERANCE * note.out.abs().max())


def _forget(used: Sequence[nn.Module]) -> None:
    """Weights that the kernel has copied."""
    for module in used:
        for name, _ in [*module.named_parameters(recurse=False)]:
            module.register_parameter(name, None)
