"""The vocoder stage: frames of codes to samples as they come, several speeches in one pass.

A frame is heard when those on its right that it is made from have come, or the codes have ended. So the samples are
those of the whole, wherever the pieces are cut.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import torch

from omnipipe.engines.loading import choose_device
from omnipipe.engines.program import Emit, Job, Outcome, StageContext, attempt
from omnipipe.families.orpheus.frames import PLACES
from omnipipe.families.orpheus.snac import load_decoder
from omnipipe.weights import resolve
from omnipipe.wire.value import Tensor, Value

__all__ = ["Vocoder"]

_FULL_SCALE: Final = 32_767


@dataclass(frozen=True, slots=True)
class _Sound:
    """Where one speech is. Never changed, so that a step that failed can be tried again."""

    frames: torch.Tensor
    """`[n, 7]`: those not heard yet, and those before them that they are made from."""
    start: int
    """The place of the first of them."""
    heard: int
    """The place of the first that was not heard yet."""
    seed: int
    meta: dict[str, Value]
    """What the speaker said of the end."""


class Vocoder:
    """A `BatchProgram`."""

    def __init__(self, context: StageContext) -> None:
        params = context.params
        self._device = choose_device("auto")
        folder = resolve(str(params["codec"]), pickled=True)
        self._decoder = load_decoder(folder, self._device)
        self._left, self._right = self._decoder.margins
        self._size = int(params["chunk_frames"])
        self._first = min(int(params["first_chunk_frames"]), self._size)

    def cost(self, job: Job) -> int:
        """Frames."""
        return sum(int(chunk["codes"].shape[0]) for chunk in job.chunks.get("codes", ())) + self._left + self._right

    def run(self, batch: Sequence[Job]) -> Sequence[Outcome | Exception]:
        outcomes: dict[str, Outcome | Exception] = {}
        groups: dict[tuple[int, int, int], list[tuple[Job, _Sound]]] = defaultdict(list)
        for job in batch:
            sound = attempt(self._taken, job)
            if isinstance(sound, Exception):
                outcomes[job.rid] = sound
                continue
            count = self._ready(job, sound)
            if count:
                width = min(sound.heard - sound.start + count + self._right, len(sound.frames))
                groups[sound.heard - sound.start, count, width].append((job, sound))
            else:
                outcomes[job.rid] = self._waits(job, sound)
        for (before, count, width), together in groups.items():
            outcomes.update(self._sound(together, before, count, width))
        return [outcomes[job.rid] for job in batch]

    def _taken(self, job: Job) -> _Sound:
        """With the codes that have come."""
        sound = job.state if isinstance(job.state, _Sound) else _Sound(_no_frames(), 0, 0, 0, {})
        frames, seed, meta = [sound.frames], sound.seed, sound.meta
        for chunk in job.chunks["codes"]:
            frames.append(self._checked(chunk["codes"]))
            seed = int(chunk["seed"])
            meta = meta | {name: chunk[name] for name in ("usage", "finish_reason") if name in chunk}
        return _Sound(torch.cat(frames), sound.start, sound.heard, seed, meta)

    def _checked(self, codes: Tensor) -> torch.Tensor:
        """Before they are looked up: a code that is none would end the process on a GPU."""
        found = torch.from_numpy(np.array(codes.numpy(), dtype=np.int64))
        if found.ndim != 2 or found.shape[1] != PLACES:
            raise ValueError(f"codes of shape {list(found.shape)}, not [frames, {PLACES}]")
        if found.numel() and not 0 <= int(found.min()) <= int(found.max()) < self._decoder.codebook:
            raise ValueError(f"codes outside of 0 to {self._decoder.codebook - 1}")
        return found

    def _ready(self, job: Job, sound: _Sound) -> int:
        """How many frames can be heard now, if it is worth a pass."""
        there = sound.start + len(sound.frames) - sound.heard
        wanted = self._size if sound.heard else self._first
        if "codes" in job.ended:
            return min(there, max(wanted, self._size))
        return wanted if there - self._right >= wanted else 0

    def _waits(self, job: Job, sound: _Sound) -> Outcome:
        """For more codes; or there were none left, and the end has come."""
        job.state = sound
        if "codes" not in job.ended:
            return Outcome(then="wait")
        return Outcome([self._emit(torch.empty(0), sound, last=True)])

    def _sound(self, together: Sequence[tuple[Job, _Sound]], before: int, count: int, width: int) -> dict[str, Outcome]:
        """The next `count` frames of each, from `width` that they are made from, `before` of which were heard."""
        codes = torch.stack([sound.frames[:width] for _, sound in together]).to(self._device)
        starts, seeds = [sound.start for _, sound in together], [sound.seed for _, sound in together]
        with torch.inference_mode():
            samples = self._decoder(codes, starts, seeds).float().cpu()
        heard = samples[:, before * self._decoder.frame : (before + count) * self._decoder.frame]
        return {
            job.rid: self._went_on(job, sound, row, count) for (job, sound), row in zip(together, heard, strict=True)
        }

    def _went_on(self, job: Job, sound: _Sound, samples: torch.Tensor, count: int) -> Outcome:
        heard = sound.heard + count
        start = max(sound.start, heard - self._left)
        job.state = rest = _Sound(sound.frames[start - sound.start :], start, heard, sound.seed, sound.meta)
        last = "codes" in job.ended and heard == rest.start + len(rest.frames)
        then: Literal["done", "again", "wait"] = "done" if last else "again" if self._ready(job, rest) else "wait"
        return Outcome([self._emit(samples, sound, last=last)], then)

    def _emit(self, samples: torch.Tensor, sound: _Sound, *, last: bool) -> Emit:
        whole = (samples * _FULL_SCALE).round().to(torch.int16).numpy()
        meta: dict[str, Value] | None = None
        if last:
            meta = {"sample_rate_hz": self._decoder.sampling_rate, "channels": 1, **sound.meta}
        return Emit("audio", Tensor.from_numpy(whole), last, meta)


def _no_frames() -> torch.Tensor:
    return torch.empty((0, PLACES), dtype=torch.int64)
