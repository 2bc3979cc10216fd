"""Codes to a waveform, bit by bit, exactly as all at once.

The vocoder of Qwen3-Omni is causal: sliding-window attention, then convolutions that look back. What it needs of the
past is kept: keys and values of one window, and as many columns before each convolution as its kernel reaches back.
The modules are transformers' own, but for its convolutions and activations, which `causal` has in place of them.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import torch

from omnipipe.engines.kernels.native import NativeKernels
from omnipipe.families.qwen3_omni.causal import Tape, replace_layers

if TYPE_CHECKING:
    from transformers import PreTrainedModel

__all__ = ["Past", "Vocoder"]


@dataclass(frozen=True, slots=True)
class Past:
    """What one waveform's next piece depends on. Never changed: the next one is new."""

    frames: int
    """So far."""
    attention: torch.Tensor
    """`[2 * layers, heads, window - 1, size]`: keys and values, the newest last, zeros where there were none."""
    columns: torch.Tensor
    """Those before the convolutions, all in one row."""


class Vocoder:
    """`model`: a Qwen3OmniMoeCode2Wav, which is this one's from now on. `kernels`: what convolves, once it can."""

    def __init__(self, model: "PreTrainedModel", kernels: NativeKernels | None = None) -> None:
        self._model: Any = model
        config: Any = model.config
        self._window: int = config.sliding_window
        self._layers: int = config.num_hidden_layers
        self._tape = Tape(kernels)
        self.groups: int = config.num_quantizers
        self.codebook: int = config.codebook_size
        self.widest = _widest(config)
        """Numbers that a frame is at most, on its way to samples."""
        replace_layers(model, self._tape)

    def extend(self, codes: torch.Tensor, pasts: Sequence[Past | None]) -> tuple[torch.Tensor, list[Past]]:
        """`codes`: `[batch, frames, groups]`; one past a row, none of them there or all. The samples that these frames
        add, `[batch, n]`, between -1 and 1, and what comes next."""
        model, batch, frames = self._model, *codes.shape[:2]
        known = [past for past in pasts if past is not None]
        assert not known or len(known) == batch
        embeds = model.code_embedding(codes.transpose(1, 2) + model.code_offset).mean(1)
        starts = [past.frames for past in known] or [0] * batch
        kept = torch.stack([past.attention for past in known], 1) if known else None
        attention = _Attention(kept, self._layers, self._window - 1, embeds)
        hidden = self._attend(embeds, starts, attention)
        self._tape.rewind(torch.stack([past.columns for past in known]) if known else None, hidden)
        for blocks in model.upsample:
            for block in blocks:
                hidden = block(hidden)
        for block in model.decoder:
            hidden = block(hidden)
        samples = hidden.clamp(min=-1, max=1)[:, 0]
        columns = self._tape.cut()
        after = attention.after()
        return samples, [
            Past(start + frames, after[:, row].contiguous(), columns[row].clone()) for row, start in enumerate(starts)
        ]

    def _attend(self, embeds: torch.Tensor, starts: list[int], attention: "_Attention") -> torch.Tensor:
        """`[batch, channels, frames]`"""
        reach, frames = self._window - 1, embeds.shape[1]
        before = torch.tensor(starts, device=embeds.device)
        queries = before[:, None] + torch.arange(frames, device=embeds.device)
        keys = before[:, None] + torch.arange(-reach, frames, device=embeds.device)
        distance = queries[:, :, None] - keys[:, None, :]
        seen = (distance >= 0) & (distance <= reach) & (keys >= 0)[:, None, :]
        masks = dict.fromkeys(("full_attention", "sliding_attention"), seen[:, None])
        output = self._model.pre_transformer(
            inputs_embeds=embeds, attention_mask=masks, position_ids=queries, past_key_values=attention, use_cache=True
        )
        return cast(torch.Tensor, output.last_hidden_state.permute(0, 2, 1))


class _Attention:
    """As much of transformers' Cache as its attention asks for: the last keys and values, of a batch of waveforms."""

    def __init__(self, kept: torch.Tensor | None, layers: int, reach: int, like: torch.Tensor) -> None:
        """`kept`: `[2 * layers, batch, heads, reach, size]`; None: from the start."""
        self._kept = kept
        self._reach = reach
        self._next: list[torch.Tensor | None] = [None] * (2 * layers)
        self._like = like

    def update(
        self, keys: torch.Tensor, values: torch.Tensor, layer: int, *_: object, **__: object
    ) -> tuple[torch.Tensor, torch.Tensor]:
        return self._longer(2 * layer, keys), self._longer(2 * layer + 1, values)

    def get_seq_length(self, layer: int = 0) -> int:
        return self._reach

    def after(self) -> torch.Tensor:
        return torch.stack([kept for kept in self._next if kept is not None])

    def _longer(self, index: int, new: torch.Tensor) -> torch.Tensor:
        batch, heads, _, size = new.shape
        before = new.new_zeros(batch, heads, self._reach, size) if self._kept is None else self._kept[index]
        longer = torch.cat((before, new), dim=2)
        self._next[index] = longer[:, :, longer.shape[2] - self._reach :]
        return longer


def _widest(config: Any) -> int:
    length = math.prod(config.upsampling_ratios)
    widest = length * max(config.hidden_size, config.decoder_dim)
    for depth, rate in enumerate(config.upsample_rates, start=1):
        length *= rate
        widest = max(widest, length * (config.decoder_dim // 2**depth))
    return int(widest)
