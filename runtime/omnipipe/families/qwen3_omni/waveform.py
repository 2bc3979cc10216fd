"""Codes to a waveform, bit by bit, exactly as all at once.

The vocoder of Qwen3-Omni is causal: sliding-window attention, then convolutions that look back. What it needs of the
past is kept: keys and values of one window, and as many columns before each convolution as its kernel reaches back.
The modules are transformers' own. Replaced are its convolutions, by ones that take the past from a `Past` instead of
padding with zeros, and its activations, by ones that make fewer copies. (Its transposed convolutions look one column
ahead, so the waveform ends a little before the codes do, there as here.)
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import nn
from torch.nn import functional
from transformers.models.qwen3_omni_moe.modeling_qwen3_omni_moe import (
    Qwen3OmniMoeCausalConvNet,
    Qwen3OmniMoeCausalTransConvNet,
    Qwen3OmniMoeSnakeBeta,
)

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
    columns: tuple[torch.Tensor, ...]
    """Before each convolution, in the order in which they are applied: `[channels, reach]`."""


class Vocoder:
    """`model`: a Qwen3OmniMoeCode2Wav, which is this one's from now on."""

    def __init__(self, model: "PreTrainedModel") -> None:
        self._model: Any = model
        config: Any = model.config
        self._window: int = config.sliding_window
        self._layers: int = config.num_hidden_layers
        self._tape = _Tape()
        self.groups: int = config.num_quantizers
        self.codebook: int = config.codebook_size
        self.widest = _widest(config)
        """Numbers that a frame is at most, on its way to samples."""
        _replace(model, self._tape)

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
        self._tape.rewind(
            [torch.stack(columns) for columns in zip(*(past.columns for past in known), strict=True)] if known else None
        )
        for blocks in model.upsample:
            for block in blocks:
                hidden = block(hidden)
        for block in model.decoder:
            hidden = block(hidden)
        samples = hidden.clamp(min=-1, max=1)[:, 0]
        columns = self._tape.cut()
        after = attention.after()
        return samples, [
            Past(start + frames, after[:, row].contiguous(), tuple(column[row].contiguous() for column in columns))
            for row, start in enumerate(starts)
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


class _Tape:
    """Columns that the convolutions of one pass find, and those that they leave, in the order of the pass."""

    def __init__(self) -> None:
        self._found: list[torch.Tensor] | None = None
        self._left: list[torch.Tensor] = []

    def rewind(self, found: list[torch.Tensor] | None) -> None:
        """None: from the start."""
        self._found, self._left = found, []

    def take(self) -> torch.Tensor | None:
        return None if self._found is None else self._found[len(self._left)]

    def leave(self, columns: torch.Tensor) -> None:
        self._left.append(columns)

    def cut(self) -> list[torch.Tensor]:
        left, self._left, self._found = self._left, [], None
        return left


class _Conv(nn.Module):
    """In place of a Qwen3OmniMoeCausalConvNet."""

    def __init__(self, conv: nn.Conv1d, reach: int, tape: _Tape) -> None:
        super().__init__()
        self.conv = conv
        self._reach = reach
        self._tape = tape

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        if not self._reach:
            return cast(torch.Tensor, self.conv(hidden))
        before = self._tape.take()
        hidden = functional.pad(hidden, (self._reach, 0)) if before is None else torch.cat((before, hidden), dim=-1)
        self._tape.leave(hidden[..., hidden.shape[-1] - self._reach :])
        return cast(torch.Tensor, self.conv(hidden))


class _Upsample(nn.Module):
    """In place of a Qwen3OmniMoeCausalTransConvNet whose kernel is twice its stride: each pair of columns next to each
    other makes `stride` new ones."""

    def __init__(self, conv: nn.ConvTranspose1d, tape: _Tape) -> None:
        super().__init__()
        self.conv = conv
        self._stride = conv.stride[0]
        self._tape = tape

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        before = self._tape.take()
        if before is not None:
            hidden = torch.cat((before, hidden), dim=-1)
        self._tape.leave(hidden[..., -1:])
        return cast(torch.Tensor, self.conv(hidden)[..., self._stride : -self._stride])


class _Snake(nn.Module):
    """In place of a Qwen3OmniMoeSnakeBeta: x + sin(ax)^2 / b, its constants worked out once, in half the memory."""

    def __init__(self, snake: Qwen3OmniMoeSnakeBeta) -> None:
        super().__init__()
        self._pitch = snake.alpha.detach().exp()[None, :, None]
        self._depth = 1.0 / (snake.beta.detach().exp()[None, :, None] + snake.no_div_by_zero)

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        wave = (hidden * self._pitch).sin_().square_()
        return torch.addcmul(hidden, wave, self._depth)


def _widest(config: Any) -> int:
    length = math.prod(config.upsampling_ratios)
    widest = length * max(config.hidden_size, config.decoder_dim)
    for depth, rate in enumerate(config.upsample_rates, start=1):
        length *= rate
        widest = max(widest, length * (config.decoder_dim // 2**depth))
    return int(widest)


def _replace(model: "PreTrainedModel", tape: _Tape) -> None:
    for name, module in list(model.named_modules()):
        owner, _, leaf = name.rpartition(".")
        made: nn.Module | None = None
        if isinstance(module, Qwen3OmniMoeCausalConvNet):
            assert module.stride == 1, "the vocoder's convolutions look back alone"
            made = _Conv(module.conv, module.padding, tape)
        elif isinstance(module, Qwen3OmniMoeCausalTransConvNet) and module.left_pad:
            assert module.left_pad == module.conv.stride[0], "the vocoder's kernels are twice their stride, or equal it"
            made = _Upsample(module.conv, tape)
        elif isinstance(module, Qwen3OmniMoeSnakeBeta):
            made = _Snake(module)
        if made is not None:
            parent = model.get_submodule(owner)
            if isinstance(parent, nn.ModuleList):
                parent[int(leaf)] = made
            else:
                setattr(parent, leaf, made)
