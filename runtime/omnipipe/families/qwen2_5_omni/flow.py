"""Codes to a waveform, in sections, exactly as all at once.

Two models, neither of them causal. The first makes a spectrum out of noise, in steps: in each a block of it sees
its neighbours, by some layers those before and by some those behind, so that what a block becomes depends on a number
of blocks that is known: `back` and `ahead`. The second is made of convolutions, which reach `margin` frames to both
sides. A section is computed with so much around it, and what is around it is thrown away.

The modules and the solver are transformers' own.
"""

import hashlib
import math
from typing import TYPE_CHECKING, Any, Final, cast

import torch
from transformers.models.qwen2_5_omni.modeling_qwen2_5_omni import RungeKutta4ODESolver

from omnipipe.families.qwen2_5_omni.voices import Voice

if TYPE_CHECKING:
    from transformers import PreTrainedModel

__all__ = ["Vocoder", "noise_of"]

_TIMES: Final = 10
"""Points in time between noise and spectrum, both included."""
_LOOKS: Final = 4
"""How often the solver asks the model, from one to the next."""
_GUIDANCE: Final = 0.5
_SWAY: Final = -1.0
_FILTER: Final = 8
"""Samples that an activation reaches to a side: it makes twice as many and half as many again, by filters of 12."""


class Vocoder:
    """`model`: a Qwen2_5OmniToken2WavModel in f32."""

    def __init__(self, model: "PreTrainedModel") -> None:
        self._model: Any = model
        made: Any = model
        # Once for all heads of all requests, of which there are many times as many numbers.
        made.code2wav_dit_model._create_block_diff = self._apart
        flow: Any = model.config.dit_config
        waves: Any = model.config.bigvgan_config
        self.codebook: int = flow.num_embeds
        self.mels: int = flow.mel_dim
        self.repeats: int = flow.repeats
        """Frames of the spectrum that a code is."""
        self.block: int = flow.block_size
        """Frames of the spectrum."""
        looks = (_TIMES - 1) * _LOOKS
        layers = range(flow.num_hidden_layers)
        self.back = looks * sum(layer in flow.look_backward_layers for layer in layers)
        """Blocks that a block depends on, before it."""
        self.ahead = looks * sum(layer in flow.look_ahead_layers for layer in layers)
        """And behind it."""
        self.hop = math.prod(waves.upsample_rates)
        """Samples of a frame."""
        self.margin = _margin(waves)
        """Frames to either side that a sample depends on."""
        self._device = model.device

    def spectrum(self, codes: torch.Tensor, noise: torch.Tensor, voice: Voice) -> torch.Tensor:
        """`codes`: `[n]`; `noise`: `[n * repeats, mels]`; the spectrum, as large. Begins with a block."""
        flow = self._model.code2wav_dit_model
        frames = len(noise)
        speaker = voice.speaker.to(self._device)[:, None].expand(-1, frames, -1)
        reference = voice.mel.to(self._device)
        quantized = codes.to(self._device).long()[None]

        def change(time: torch.Tensor, state: torch.Tensor) -> torch.Tensor:
            out = flow(
                hidden_states=state,
                quantized_code=quantized,
                speaker_embedding=speaker,
                condition_vector=reference,
                time_step=time,
                apply_cfg=True,
            )
            guided, free = out.chunk(2)
            return cast(torch.Tensor, guided + (guided - free) * _GUIDANCE)

        times = torch.linspace(0, 1, _TIMES, device=self._device)
        times += _SWAY * (torch.cos(torch.pi / 2 * times) - 1 + times)
        solver: Any = RungeKutta4ODESolver  # it has no types
        states: torch.Tensor = solver(change, noise.to(self._device)[None]).integrate(times)
        return states[-1][0]

    def _apart(self, hidden: torch.Tensor) -> torch.Tensor:
        """`[1, 1, frames, frames]`: how many blocks the second is behind the first."""
        blocks = torch.arange(hidden.shape[1], device=hidden.device) // self.block
        return (blocks[None, :] - blocks[:, None])[None, None]

    def waveform(self, spectrum: torch.Tensor) -> torch.Tensor:
        """`[frames, mels]` to `[frames * hop]`, between -1 and 1, on the host."""
        samples: torch.Tensor = self._model.code2wav_bigvgan_model(spectrum.T[None])
        return samples.reshape(-1)


def noise_of(seed: int, first_block: int, frames: int, block: int, mels: int) -> torch.Tensor:
    """`[frames, mels]` from a block's start on. A block's noise is its own, wherever sections are cut and whatever they
    are computed on."""
    blocks = [
        torch.randn((block, mels), generator=torch.Generator().manual_seed(_seed_of(seed, first_block + at)))
        for at in range(-(-frames // block))
    ]
    return torch.cat(blocks)[:frames] if blocks else torch.empty((0, mels))


def _seed_of(seed: int, block: int) -> int:
    digest = hashlib.blake2b(f"{seed} {block}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


def _margin(config: Any) -> int:
    """From the samples back to the frames, layer by layer."""
    reach = 3 + _FILTER
    kernels = zip(config.resblock_kernel_sizes, config.resblock_dilation_sizes, strict=True)
    blocks = max(
        sum((kernel // 2) * dilation + kernel // 2 + 2 * _FILTER for dilation in dilations)
        for kernel, dilations in kernels
    )
    for rate, kernel in zip(reversed(config.upsample_rates), reversed(config.upsample_kernel_sizes), strict=True):
        reach = -(-(reach + blocks + kernel) // rate) + 1
    return int(reach) + 3
