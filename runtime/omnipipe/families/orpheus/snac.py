"""The decoder of SNAC, a codec with a code every 12, 6 and 3 codes of its three levels a quarter second.

Our own module for the published weights: theirs decodes a whole recording, this one any stretch of it, so that sound
can leave while codes still come. A stretch is exact but for the frames at its edges that hear less than they should:
`margins` says how many. Their decoder adds noise; here it depends on the place and a seed alone, so that a stretch has
the noise that the whole would have.
"""

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import torch
from torch import nn

from omnipipe.engines.errors import LoadingError

__all__ = ["SnacDecoder", "load_decoder"]

_STRIDES: Final = (4, 2, 1)
"""Of the levels; in steps, of which a frame has four."""
_LEVELS: Final = ((0,), (1, 4), (2, 3, 5, 6))
"""Which of a frame's seven codes are whose, in order of time."""
_DILATIONS: Final = (1, 3, 9)
_REACH: Final = 3
"""Of a convolution of seven, to either side."""


class SnacDecoder(nn.Module):
    """Named as in the published checkpoints, but for the parts that only an encoder needs."""

    def __init__(self, config: dict[str, Any]) -> None:
        super().__init__()
        rates, channels = list(config["decoder_rates"]), int(config["decoder_dim"])
        latent = config.get("latent_dim") or config["encoder_dim"] * 2 ** len(config["encoder_rates"])
        self.codebook = int(config["codebook_size"])
        self.sampling_rate = int(config["sampling_rate"])
        self.rates = rates
        self.frame = _STRIDES[0] * math.prod(rates)
        """Samples."""
        self.noisy = bool(config.get("noise", True))
        self.margins = _margins(rates)
        """Frames on the left and on the right that a frame is made from, beside itself."""
        self.quantizer = nn.Module()
        self.quantizer.quantizers = nn.ModuleList(
            _Level(self.codebook, config["codebook_dim"], latent) for _ in _STRIDES
        )
        depthwise = bool(config.get("depthwise", True))
        first = (
            [_conv(latent, latent, groups=latent), nn.Conv1d(latent, channels, 1)]
            if depthwise
            else [_conv(latent, channels)]
        )
        blocks = [
            _Block(channels // 2**at, channels // 2 ** (at + 1), rate, noisy=self.noisy, depthwise=depthwise)
            for at, rate in enumerate(rates)
        ]
        last = channels // 2 ** len(rates)
        self.decoder = nn.Module()
        self.decoder.model = nn.Sequential(*first, *blocks, _Snake(last), _conv(last, 1), nn.Tanh())

    def forward(self, codes: torch.Tensor, starts: Sequence[int], seeds: Sequence[int]) -> torch.Tensor:
        """`[n, frames, 7]` to `[n, frames * frame]` in -1 to 1. `starts`: each first frame's place in its speech."""
        x = self._latents(codes)
        stage = 0
        for module in self.decoder.model:  # type: ignore[union-attr]  # a Sequential
            if isinstance(module, _Block):
                x = module(x, self._noise(stage, codes.shape[1], starts, seeds).to(x.device))
                stage += 1
            else:
                x = module(x)
        return x[:, 0]

    def _latents(self, codes: torch.Tensor) -> torch.Tensor:
        total: torch.Tensor | float = 0.0
        for level, places, stride in zip(self.quantizer.quantizers, _LEVELS, _STRIDES, strict=True):  # type: ignore[arg-type]
            vectors = level(codes[..., list(places)].flatten(1))
            total = total + vectors.repeat_interleave(stride, dim=-1)
        assert isinstance(total, torch.Tensor)
        return total

    def _noise(self, stage: int, frames: int, starts: Sequence[int], seeds: Sequence[int]) -> torch.Tensor:
        """`[n, 1, samples]`; without noise, nothing."""
        if not self.noisy:
            return torch.empty(0)
        size = _STRIDES[0] * math.prod(self.rates[: stage + 1])
        rows = [
            torch.cat([_numbers(seed, stage, start + frame, size) for frame in range(frames)])[None]
            for start, seed in zip(starts, seeds, strict=True)
        ]
        return torch.stack(rows)


class _Level(nn.Module):
    def __init__(self, codebook: int, size: int, latent: int) -> None:
        super().__init__()
        self.codebook = nn.Embedding(codebook, size)
        self.out_proj = nn.Conv1d(size, latent, 1)

    def forward(self, codes: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.out_proj(self.codebook(codes).transpose(1, 2))
        return out


class _Snake(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.alpha = nn.Parameter(torch.ones(1, channels, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + (self.alpha + 1e-9).reciprocal() * torch.sin(self.alpha * x).pow(2)


class _Residual(nn.Module):
    def __init__(self, channels: int, dilation: int, groups: int) -> None:
        super().__init__()
        self.block = nn.Sequential(
            _Snake(channels),
            _conv(channels, channels, dilation=dilation, groups=groups),
            _Snake(channels),
            nn.Conv1d(channels, channels, 1),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = x + self.block(x)
        return out


class _Noise(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.linear = nn.Conv1d(channels, channels, 1, bias=False)

    def forward(self, x: torch.Tensor, numbers: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = x + numbers * self.linear(x)
        return out


class _Block(nn.Module):
    def __init__(self, takes: int, gives: int, rate: int, *, noisy: bool, depthwise: bool) -> None:
        super().__init__()
        groups = gives if depthwise else 1
        up = nn.ConvTranspose1d(
            takes, gives, 2 * rate, stride=rate, padding=math.ceil(rate / 2), output_padding=rate % 2
        )
        noise = [_Noise(gives)] if noisy else []
        self.block = nn.Sequential(
            _Snake(takes), up, *noise, *(_Residual(gives, dilation, groups) for dilation in _DILATIONS)
        )

    def forward(self, x: torch.Tensor, numbers: torch.Tensor) -> torch.Tensor:
        for module in self.block:
            x = module(x, numbers) if isinstance(module, _Noise) else module(x)
        return x


def load_decoder(folder: Path, device: torch.device) -> SnacDecoder:
    """From `config.json` and the weights beside it, which are published as `pytorch_model.bin`. Raises LoadingError."""
    try:
        config = json.loads((folder / "config.json").read_text())
        if tuple(config["vq_strides"]) != _STRIDES or config.get("attn_window_size") is not None:
            raise LoadingError(
                f"{folder.name}: only SNAC with levels {_STRIDES} and no attention, as for 24 kHz speech"
            )
        decoder = SnacDecoder(config)
        weights = _folded(_weights(folder))
        needed = {name: weights[name] for name in decoder.state_dict()}
        decoder.load_state_dict(needed)
    except (OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
        raise LoadingError(f"{folder.name} is no SNAC codec: {type(error).__name__}: {error}") from error
    return decoder.requires_grad_(False).eval().to(device)


def _weights(folder: Path) -> dict[str, torch.Tensor]:
    if (folder / "model.safetensors").is_file():
        from safetensors.torch import load_file

        return load_file(folder / "model.safetensors")
    older: dict[str, torch.Tensor] = torch.load(folder / "pytorch_model.bin", map_location="cpu", weights_only=True)
    return older


def _folded(weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Lengths and directions, as weight normalisation keeps them, to weights."""
    folded = dict(weights)
    for length, direction in (
        (".parametrizations.weight.original0", ".parametrizations.weight.original1"),
        (".weight_g", ".weight_v"),
    ):
        for name in [name for name in weights if name.endswith(length)]:
            module = name.removesuffix(length)
            folded[f"{module}.weight"] = torch._weight_norm(folded.pop(f"{module}{direction}"), folded.pop(name), 0)
    return folded


def _conv(takes: int, gives: int, *, dilation: int = 1, groups: int = 1) -> nn.Conv1d:
    return nn.Conv1d(takes, gives, 2 * _REACH + 1, dilation=dilation, padding=_REACH * dilation, groups=groups)


def _margins(rates: Sequence[int]) -> tuple[int, int]:
    """Back from the samples of one frame to the steps that they hear of."""
    first, last = -_REACH, _STRIDES[0] * math.prod(rates) - 1 + _REACH
    for rate in reversed(rates):
        reach = _REACH * sum(_DILATIONS)
        padding = math.ceil(rate / 2)
        first, last = first - reach + padding, last + reach + padding
        first, last = math.ceil((first - 2 * rate + 1) / rate), last // rate
    first, last = first - _REACH, last + _REACH
    return math.ceil(-first / _STRIDES[0]), math.ceil((last - _STRIDES[0] + 1) / _STRIDES[0])


def _numbers(seed: int, stage: int, frame: int, size: int) -> torch.Tensor:
    """Normal, and the same for the same place."""
    generator = torch.Generator().manual_seed(((seed * 31 + stage) * 1_000_003 + frame) % (1 << 63))
    return torch.randn(size, generator=generator)
