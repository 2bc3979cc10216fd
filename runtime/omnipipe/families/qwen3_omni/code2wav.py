"""The code2wav stage: codes to samples as they come, several waveforms in one pass.

The first piece is short, so that sound begins early, and each waits for up to twice as many codes as the one before,
which is how much more has been heard by then. Where pieces are cut makes no difference to the samples.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import torch
from transformers.models.qwen3_omni_moe.modeling_qwen3_omni_moe import Qwen3OmniMoeCode2Wav

from omnipipe.engines.kernels.native import NativeKernels
from omnipipe.engines.loading import Part, load_model
from omnipipe.engines.program import Emit, Job, Outcome, StageContext, attempt
from omnipipe.families.omni_parts.tensors import from_torch, to_torch
from omnipipe.families.qwen3_omni.waveform import Past, Vocoder
from omnipipe.weights import resolve
from omnipipe.wire.value import Tensor, Value

__all__ = ["Code2Wav"]

_SAMPLE_RATE_HZ: Final = 24_000
_FULL_SCALE: Final = 32_767
_CPU_PASS: Final = 900_000
"""Numbers in one layer of one pass on a CPU, where larger passes gain nothing, and from about twice this many on each
layer's memory is asked of the kernel anew, which costs more than the computing: three times as long a sample."""
_META: Final[dict[str, Value]] = {"sample_rate_hz": _SAMPLE_RATE_HZ, "channels": 1}


@dataclass(frozen=True, slots=True)
class _Voice:
    """Where one waveform is. Never changed, so that a step that failed can be tried again."""

    waiting: torch.Tensor
    """`[frames, groups]`: codes that have come and are no samples yet."""
    size: int
    """Frames in the next piece, unless the codes end before."""
    past: Past | None = None


class Code2Wav:
    """A `BatchProgram`."""

    def __init__(self, context: StageContext, kernels: NativeKernels | None = None) -> None:
        params = context.params
        part = Part("code2wav.", lambda config: config.code2wav_config, Qwen3OmniMoeCode2Wav)
        loaded = load_model(
            resolve(context.source or ""), dtype=params["dtype"], part=part, attention="sdpa"
        )  # fmt: skip
        self._device = loaded.device
        kernels = NativeKernels() if kernels is None else kernels
        if self._device.type == "cpu":
            kernels.start()
        self._vocoder = Vocoder(loaded.module, kernels)
        self._longest = int(params["chunk_frames"])
        self._first = min(int(params["first_chunk_frames"]), self._longest)

    def cost(self, job: Job) -> int:
        """Frames."""
        waiting = len(job.state.waiting) if isinstance(job.state, _Voice) else 0
        return waiting + sum(int(chunk["codes"].shape[0]) for chunk in job.chunks.get("codes", ()))

    def run(self, batch: Sequence[Job]) -> Sequence[Outcome | Exception]:
        outcomes: dict[str, Outcome | Exception] = {}
        ready: dict[tuple[int, bool], list[tuple[Job, _Voice]]] = defaultdict(list)
        for job in batch:
            voice = attempt(self._taken, job)
            if isinstance(voice, Exception):
                outcomes[job.rid] = voice
                continue
            frames = self._piece(voice, _ended(job))
            if frames:
                ready[frames, voice.past is None].append((job, voice))
            else:
                outcomes[job.rid] = self._waits(job, voice)
        for (frames, _), together in ready.items():
            most = len(together) if self._device.type != "cpu" else max(1, _CPU_PASS // (frames * self._vocoder.widest))
            for start in range(0, len(together), most):
                outcomes.update(self._extend(together[start : start + most], frames))
        return [outcomes[job.rid] for job in batch]

    def _taken(self, job: Job) -> _Voice:
        """With the codes that have come."""
        voice = job.state if isinstance(job.state, _Voice) else self._silent()
        chunks = [self._checked(chunk) for chunk in job.chunks["codes"]]
        return _Voice(torch.cat((voice.waiting, *chunks)), voice.size, voice.past) if chunks else voice

    def _piece(self, voice: _Voice, ended: bool) -> int:
        """Frames of the next piece; 0: not yet. After the first piece, what has come meanwhile goes along: on a busy
        machine there are fewer and longer pieces, which cost less."""
        waiting = min(len(voice.waiting), self._longest)
        if ended:
            return min(voice.size, waiting) if voice.past is None else waiting
        if waiting < voice.size:
            return 0
        frames = voice.size
        if voice.past is None:
            return frames
        while 2 * frames <= waiting:  # not any number: pieces of one length are computed together
            frames *= 2
        return waiting if waiting == self._longest else frames

    def _silent(self) -> _Voice:
        return _Voice(torch.empty((0, self._vocoder.groups), dtype=torch.int32), self._first)

    def _checked(self, chunk: Value) -> torch.Tensor:
        """Before they are looked up: a code that is none would end the process on a GPU."""
        codes = to_torch(chunk["codes"])
        if codes.ndim != 2 or codes.shape[1] != self._vocoder.groups:
            raise ValueError(f"codes of shape {list(codes.shape)}, not [frames, {self._vocoder.groups}]")
        if codes.numel() and not 0 <= int(codes.min()) <= int(codes.max()) < self._vocoder.codebook:
            raise ValueError(f"codes outside of 0 to {self._vocoder.codebook - 1}")
        return codes

    def _waits(self, job: Job, voice: _Voice) -> Outcome:
        """For more codes; or there were none left, and the end has come."""
        job.state = voice
        if not _ended(job):
            return Outcome(then="wait")
        return Outcome([_sound(torch.empty(0), last=True)])

    def _extend(self, together: Sequence[tuple[Job, _Voice]], frames: int) -> dict[str, Outcome]:
        codes = torch.stack([voice.waiting[:frames] for _, voice in together])
        with torch.inference_mode():
            samples, pasts = self._vocoder.extend(codes.to(self._device).long(), [voice.past for _, voice in together])
        outcomes = {}
        for (job, voice), row, past in zip(together, samples.float().cpu(), pasts, strict=True):
            waiting = voice.waiting[frames:]
            size = min(2 * frames, self._longest)
            job.state = _Voice(waiting, size, past)
            last = _ended(job) and not len(waiting)
            more = len(waiting) >= size or (_ended(job) and not last)
            outcomes[job.rid] = Outcome([_sound(row, last)], "done" if last else "again" if more else "wait")
        return outcomes


def _ended(job: Job) -> bool:
    return "codes" in job.ended


def _sound(samples: torch.Tensor, last: bool) -> Emit:
    whole = (samples * _FULL_SCALE).round().to(torch.int16)
    tensor: Tensor = from_torch(whole)
    return Emit("audio", tensor, last, dict(_META) if last else None)
