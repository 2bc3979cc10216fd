"""The token2wav stage: codes to samples, in sections as soon as nothing that may still come can change them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import torch
from transformers import Qwen2_5OmniToken2WavModel

from omnipipe.engines.loading import Part, load_model
from omnipipe.engines.program import Emit, Job, Outcome, StageContext, attempt
from omnipipe.families.omni_parts.tensors import from_torch, to_torch
from omnipipe.families.qwen2_5_omni.flow import Vocoder, noise_of
from omnipipe.families.qwen2_5_omni.voices import load_voices, voice_of
from omnipipe.weights import resolve
from omnipipe.wire.value import Value

__all__ = ["Token2Wav"]

_IN: Final = "codes"
_FULL_SCALE: Final = 32_767
_META: Final[dict[str, Value]] = {"sample_rate_hz": 24_000, "channels": 1}


@dataclass(frozen=True, slots=True)
class _Sound:
    """Where one waveform is. Never changed, so that a step that failed can be tried again."""

    codes: torch.Tensor
    """All that have come."""
    voice: str = ""
    seed: int = 0
    done: int = 0
    """Frames of the spectrum that are computed, in whole blocks."""
    spectrum: torch.Tensor | None = None
    """Those of them, the newest last, that sound may still be made of."""
    heard: int = 0
    """Frames that have become sound."""


class Token2Wav:
    """A `BatchProgram`."""

    def __init__(self, context: StageContext) -> None:
        folder = resolve(context.source or "")
        part = Part("token2wav.", lambda config: config.token2wav_config, Qwen2_5OmniToken2WavModel)
        # In single precision wherever it runs, as transformers has it: errors of a step are carried on by the others.
        loaded = load_model(folder, dtype="float32", part=part, attention="sdpa")
        self._vocoder = Vocoder(loaded.module)
        self._voices = load_voices(folder)
        self._section = int(context.params["section_blocks"])

    def cost(self, job: Job) -> int:
        """Codes."""
        return 1 + sum(int(chunk["codes"].shape[0]) for chunk in job.chunks.get(_IN, ()))

    def run(self, batch: Sequence[Job]) -> Sequence[Outcome | Exception]:
        """One section of each: they are too long for more than one at a time to gain anything."""
        return [attempt(self._run, job) for job in batch]

    def _run(self, job: Job) -> Outcome:
        ended = _IN in job.ended
        sound = self._taken(job)
        end = self._ready(sound, ended)
        if end > sound.done:
            with torch.inference_mode():
                sound, samples = self._extend(sound, end, ended)
        else:
            samples = torch.empty(0)
        job.state = sound
        last = ended and sound.done == self._frames(sound)
        if last:
            return Outcome([_piece(samples, last=True)])
        emits = [_piece(samples, last=False)] if len(samples) else []
        return Outcome(emits, "again" if self._ready(sound, ended) > sound.done else "wait")

    def _frames(self, sound: _Sound) -> int:
        return len(sound.codes) * self._vocoder.repeats

    def _taken(self, job: Job) -> _Sound:
        """With the codes that have come."""
        sound = job.state if isinstance(job.state, _Sound) else _Sound(torch.empty(0, dtype=torch.int32))
        chunks = job.chunks.get(_IN, ())
        for chunk in chunks:
            if "voice" in chunk:
                sound = replace(sound, voice=chunk["voice"], seed=int(chunk["seed"]))
        codes = [self._checked(chunk) for chunk in chunks]
        return replace(sound, codes=torch.cat((sound.codes, *codes))) if codes else sound

    def _checked(self, chunk: Value) -> torch.Tensor:
        """Before they are looked up: a code that is none would end the process on a GPU."""
        codes = to_torch(chunk["codes"])
        if codes.ndim != 1:
            raise ValueError(f"codes of shape {list(codes.shape)}, not [n]")
        if codes.numel() and not 0 <= int(codes.min()) <= int(codes.max()) <= self._vocoder.codebook:
            raise ValueError(f"codes outside of 0 to {self._vocoder.codebook}")
        return codes

    def _ready(self, sound: _Sound, ended: bool) -> int:
        """Where the next section of the spectrum ends; where it begins: not yet."""
        vocoder, frames = self._vocoder, self._frames(sound)
        section = self._section * vocoder.block
        if ended and frames <= sound.done + section + vocoder.ahead * vocoder.block:
            return frames  # what is left costs little more than a section would
        final = (frames // vocoder.block - vocoder.ahead) * vocoder.block
        return sound.done + section if final >= sound.done + section else sound.done

    def _extend(self, sound: _Sound, end: int, ended: bool) -> tuple[_Sound, torch.Tensor]:
        vocoder = self._vocoder
        first = max(0, sound.done // vocoder.block - vocoder.back)
        start, stop = first * vocoder.block, min(self._frames(sound), end + vocoder.ahead * vocoder.block)
        noise = noise_of(sound.seed, first, stop - start, vocoder.block, vocoder.mels)
        codes = sound.codes[start // vocoder.repeats : stop // vocoder.repeats]
        voice = voice_of(self._voices, sound.voice)
        made = vocoder.spectrum(codes, noise, voice)[sound.done - start : end - start].cpu()
        known = made if sound.spectrum is None else torch.cat((sound.spectrum, made))
        return self._sounded(replace(sound, done=end, spectrum=known), last=ended and end == self._frames(sound))

    def _sounded(self, sound: _Sound, *, last: bool) -> tuple[_Sound, torch.Tensor]:
        """With the samples that nothing can change any more."""
        vocoder, spectrum = self._vocoder, sound.spectrum
        assert spectrum is not None
        end = sound.done if last else max(sound.heard, sound.done - vocoder.margin)
        if end == sound.heard:
            return sound, torch.empty(0)
        begins = sound.done - len(spectrum)
        samples = vocoder.waveform(spectrum)[(sound.heard - begins) * vocoder.hop : (end - begins) * vocoder.hop]
        kept = spectrum[max(0, end - vocoder.margin - begins) :].clone()
        return replace(sound, spectrum=kept, heard=end), samples


def _piece(samples: torch.Tensor, *, last: bool) -> Emit:
    whole = (samples * _FULL_SCALE).round().to(torch.int16)
    return Emit("audio", from_torch(whole), last, dict(_META) if last else None)
