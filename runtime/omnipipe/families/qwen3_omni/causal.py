"""The layers of Qwen3-Omni's vocoder that look back, in place of transformers' own, so that a waveform can go on.

What they need of the past is in one row of numbers a waveform: before each convolution as many columns as its kernel
reaches back, where the `Tape` has given it a place. Each layer computes in the engine's kernel once that is there, else
in torch's operations; both read and leave the same columns. (The transposed convolutions look one column ahead, so the
waveform ends a little before the codes do, there as here.)
"""

from dataclasses import dataclass
from typing import Any, Final, cast

import torch
from torch import nn
from torch.nn import functional
from transformers.models.qwen3_omni_moe.modeling_qwen3_omni_moe import (
    Qwen3OmniMoeCausalConvNet,
    Qwen3OmniMoeCausalTransConvNet,
    Qwen3OmniMoeCode2WavDecoderResidualUnit,
    Qwen3OmniMoeSnakeBeta,
)

from omnipipe.engines.kernels.native import NativeKernels

__all__ = ["Tape", "replace_layers"]

_BLOCK: Final = 6
"""Output channels that the kernel works out together, at most."""
_WIDEST: Final = 128
"""Channels of a layer for the kernel; of more, torch's matrix libraries make more."""


class Tape:
    """The columns that a pass finds, and those that it leaves."""

    def __init__(self, kernels: NativeKernels | None) -> None:
        self._kernels = kernels
        self._size = 0
        self._found: torch.Tensor | None = None
        self._left = torch.empty(0)

    @property
    def native(self) -> bool:
        """The kernels can be called."""
        return self._kernels is not None and self._kernels.ready

    def place(self, channels: int, reach: int) -> "_Place":
        """For as many columns of as many channels, in each waveform's row."""
        place = _Place(self, self._size, channels, reach)
        self._size += channels * reach
        return place

    def rewind(self, found: torch.Tensor | None, like: torch.Tensor) -> None:
        """`found`: `[batch, numbers]`; None: from the start."""
        self._found = found
        self._left = like.new_empty(like.shape[0], self._size)

    def cut(self) -> torch.Tensor:
        """`[batch, numbers]`: for what comes next."""
        left, self._left, self._found = self._left, torch.empty(0), None
        return left

    @property
    def found(self) -> torch.Tensor | None:
        return self._found

    @property
    def left(self) -> torch.Tensor:
        return self._left


@dataclass(frozen=True, slots=True)
class _Place:
    tape: Tape
    start: int
    channels: int
    reach: int

    def past(self) -> torch.Tensor | None:
        """`[batch, channels, reach]`; None: there was nothing before."""
        return None if self.tape.found is None else self._of(self.tape.found)

    def left(self) -> torch.Tensor:
        """To be written to."""
        return self._of(self.tape.left)

    def leave(self, hidden: torch.Tensor) -> None:
        """The newest columns of them."""
        self.left().copy_(hidden[..., hidden.shape[-1] - self.reach :])

    def _of(self, rows: torch.Tensor) -> torch.Tensor:
        columns = rows[:, self.start : self.start + self.channels * self.reach]
        return columns.view(len(rows), self.channels, self.reach)


class _Snake(nn.Module):
    """In place of a Qwen3OmniMoeSnakeBeta: x + sin(ax)^2 / b, its constants worked out once, in half the memory."""

    def __init__(self, snake: Qwen3OmniMoeSnakeBeta) -> None:
        super().__init__()
        self.pitch = snake.alpha.detach().exp()
        self.depth = 1.0 / (snake.beta.detach().exp() + snake.no_div_by_zero)

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        wave = (hidden * self.pitch[None, :, None]).sin_().square_()
        return torch.addcmul(hidden, wave, self.depth[None, :, None])


class _Conv(nn.Module):
    """In place of a Qwen3OmniMoeCausalConvNet, and of the snake before it where there is one."""

    def __init__(self, net: Qwen3OmniMoeCausalConvNet, tape: Tape, snake: Qwen3OmniMoeSnakeBeta | None = None) -> None:
        super().__init__()
        assert net.stride == 1, "the vocoder's convolutions look back alone"
        self._conv: nn.Conv1d = net.conv
        self.snake = None if snake is None else _Snake(snake)
        self.place = tape.place(net.conv.in_channels, net.padding)
        self.packed = _packed(net.conv.weight, net.conv.bias) if _fits(net.conv) else None
        self._dilation = net.conv.dilation[0]
        self._constants = () if self.snake is None else (self.snake.pitch, self.snake.depth)

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        past = self.place.past()
        if self.packed is not None and self.place.tape.native:
            operations: Any = torch.ops  # not typed
            found: torch.Tensor = operations.omnipipe.causal_conv(
                hidden.contiguous(), past, self.place.left(), *self.packed, self._conv.out_channels, self._dilation,
                *(self._constants or (None, None)),
            )  # fmt: skip
            return found
        if self.snake is not None:
            hidden = self.snake(hidden)
        if self.place.reach:
            reach = self.place.reach
            hidden = functional.pad(hidden, (reach, 0)) if past is None else torch.cat((past, hidden), dim=-1)
            self.place.leave(hidden)
        return cast(torch.Tensor, self._conv(hidden))


class _Upsample(nn.Module):
    """In place of a Qwen3OmniMoeCausalTransConvNet whose kernel is twice its stride, and of the snake before it: each
    pair of columns next to each other makes `stride` new ones."""

    def __init__(self, snake: Qwen3OmniMoeSnakeBeta, net: Qwen3OmniMoeCausalTransConvNet, tape: Tape) -> None:
        super().__init__()
        self._conv: nn.ConvTranspose1d = net.conv
        self._stride = self._conv.stride[0]
        assert net.left_pad == self._stride, "the vocoder's kernels are twice their stride, or equal it"
        self._snake = _Snake(snake)
        self._place = tape.place(self._conv.in_channels, 1)
        self._packed = _packed_pairs(self._conv) if _fits(self._conv) else None

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        place = self._place
        past = place.past()
        if self._packed is not None and place.tape.native:
            operations: Any = torch.ops  # not typed
            found: torch.Tensor = operations.omnipipe.causal_upsample(
                hidden.contiguous(), past, place.left(), *self._packed, self._conv.out_channels, self._stride,
                self._snake.pitch, self._snake.depth,
            )  # fmt: skip
            return found
        hidden = self._snake(hidden)
        if past is not None:
            hidden = torch.cat((past, hidden), dim=-1)
        place.leave(hidden)
        return cast(torch.Tensor, self._conv(hidden)[..., self._stride : -self._stride])


class _Residual(nn.Module):
    """In place of a Qwen3OmniMoeCode2WavDecoderResidualUnit. May write to what it is given."""

    def __init__(self, unit: Qwen3OmniMoeCode2WavDecoderResidualUnit, tape: Tape) -> None:
        super().__init__()
        self._wide = _Conv(unit.conv1, tape, unit.act1)
        self._narrow = _Conv(unit.conv2, tape, unit.act2)
        self._dilation = unit.conv1.conv.dilation[0]
        snakes = self._wide.snake, self._narrow.snake
        self._constants = [(snake.pitch, snake.depth) for snake in snakes if snake is not None]
        assert self._narrow.place.reach == 0

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        place, wide, narrow = self._wide.place, self._wide.packed, self._narrow.packed
        if wide is None or narrow is None or not place.tape.native:
            return cast(torch.Tensor, hidden + self._narrow(self._wide(hidden)))
        hidden = hidden.contiguous()
        operations: Any = torch.ops  # not typed
        operations.omnipipe.causal_residual(
            hidden, place.past(), place.left(), *wide, self._dilation, *self._constants[0], *narrow, *self._constants[1]
        )
        return hidden


def replace_layers(model: Any, tape: Tape) -> None:
    """`model`: a Qwen3OmniMoeCode2Wav. Its fields have no types."""
    for blocks in model.upsample:
        blocks[1].dwconv = _Conv(blocks[1].dwconv, tape)  # a kernel as long as its stride does not look back
    first, *blocks, snake, last = model.decoder
    decoder: list[nn.Module] = [_Conv(first, tape)]
    for block in blocks:
        before, up, *units = block.block
        decoder += [_Upsample(before, up, tape), *(_Residual(unit, tape) for unit in units)]
    model.decoder = nn.ModuleList([*decoder, _Conv(last, tape, snake)])


def _fits(conv: nn.Conv1d | nn.ConvTranspose1d) -> bool:
    weight = conv.weight
    return (
        weight.device.type == "cpu"
        and weight.dtype == torch.float32
        and conv.groups == 1
        and max(conv.in_channels, conv.out_channels) <= _WIDEST
    )


def _packed(weight: torch.Tensor, bias: torch.Tensor | None) -> tuple[torch.Tensor, torch.Tensor]:
    """`[outputs, inputs, taps]` as the kernel takes it, `[block, inputs, taps, channels of a block]`, and the bias."""
    outputs = weight.shape[0]
    count = -(-outputs // _BLOCK)
    size = -(-outputs // count)
    more = count * size - outputs
    packed = functional.pad(weight.detach(), (0, 0, 0, 0, 0, more)).view(count, size, *weight.shape[1:])
    added = weight.new_zeros(outputs) if bias is None else bias.detach()
    return packed.permute(0, 2, 3, 1).contiguous(), functional.pad(added, (0, more)).contiguous()


def _packed_pairs(conv: nn.ConvTranspose1d) -> tuple[torch.Tensor, torch.Tensor]:
    """As a convolution of two taps that gives all `stride` columns of a pair as channels."""
    stride = conv.stride[0]
    weight = conv.weight.detach()
    newer, older = weight[:, :, :stride], weight[:, :, stride:]
    taps = torch.stack((older, newer), 3).permute(1, 2, 0, 3).flatten(0, 1)
    bias: torch.Tensor | None = conv.bias  # None without, whatever its type says
    return _packed(taps, None if bias is None else bias.repeat_interleave(stride))
