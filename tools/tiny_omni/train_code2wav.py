"""Trains the code2wav part by regression on the waveform: `python -m tools.tiny_omni.train_code2wav --into DIR`."""

import argparse
import math
import random
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tools.tiny_omni.checkpoint import load, save
from tools.tiny_omni.shape import make_config
from tools.tiny_omni.tokens import make_tokenizer
from tools.tiny_omni.tones import CHARACTERS, VOICES, codes_of, synthesize
from torch import Tensor, nn
from transformers.models.qwen3_omni_moe.modeling_qwen3_omni_moe import Qwen3OmniMoeCode2Wav

__all__ = ["NAME"]

NAME = "code2wav"


def make_model() -> Any:
    """The defaults start with layer scales of nearly nothing and weights of one size: too slow for a small model."""
    config: Any = make_config(make_tokenizer()).code2wav_config
    model: Any = Qwen3OmniMoeCode2Wav._from_config(config)  # type: ignore[no-untyped-call]
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith(("gamma", "scale")):
                parameter.fill_(0.1)
            elif name.endswith("alpha"):
                parameter.fill_(-2.0)
            elif name.endswith(".conv2.conv.weight"):
                parameter.zero_()
            elif parameter.ndim == 3:
                parameter.normal_(0.0, _fan_in(name, parameter) ** -0.5)
            elif name == "code_embedding.weight":
                parameter.normal_()
    return model


def _fan_in(name: str, weight: Tensor) -> int:
    if ".block.1." in name:
        return 2 * weight.shape[0]  # transposed, twice as wide as its stride
    if name.startswith("upsample") and ".0.conv" in name:
        return weight.shape[0]
    return weight[0].numel()


def batch(rng: random.Random, rows: int, symbols: int) -> tuple[Tensor, Tensor]:
    codes, waves = [], []
    for _ in range(rows):
        voice = rng.choice(list(VOICES))
        text = "".join(rng.choice(CHARACTERS + "     ") for _ in range(symbols))
        text = text.replace(CHARACTERS[-1], "\x00")  # heard as a box, one byte long
        heard = text.replace("\x00", CHARACTERS[-1])
        codes.append(codes_of(heard, voice))
        waves.append(synthesize(text, voice))
    return torch.tensor(codes).transpose(1, 2), torch.from_numpy(np.stack(waves))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--into", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=4000)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--rate", type=float, default=3e-3)
    args = parser.parse_args()
    torch.manual_seed(args.seed)
    torch.set_num_threads(1)
    rng = random.Random(args.seed)
    model = make_model().train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=args.rate, betas=(0.9, 0.99), weight_decay=0.0)
    first = load(args.into, NAME, model, optimizer)
    began, total = time.monotonic(), 0.0
    for step in range(first, args.steps):
        for settings in optimizer.param_groups:
            settings["lr"] = args.rate * min(1.0, (step + 1) / 100) * (0.02 + 0.98 * _cosine(step / args.steps))
        codes, wanted = batch(rng, 4, 5)
        wave = model(codes)[:, 0]
        loss = (wave - wanted[:, : wave.shape[1]]).square().mean()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 0.1)
        optimizer.step()
        optimizer.zero_grad()
        total += loss.item()
        if (step + 1) % 100 == 0:
            noise = 10 * math.log10(wanted.square().mean().item() / (total / 100))
            print(f"{step + 1} signal to noise {noise:.1f} dB {time.monotonic() - began:.0f} s", flush=True)
            total = 0.0
        if (step + 1) % 500 == 0 or step + 1 == args.steps:
            save(args.into, NAME, model, optimizer, step + 1)


def _cosine(share: float) -> float:
    return 0.5 + 0.5 * math.cos(math.pi * min(1.0, share))


if __name__ == "__main__":
    main()
