"""Puts the trained parts into a folder as the real model has it: `python -m tools.tiny_omni.assemble RUN FOLDER`."""

import argparse
import json
from pathlib import Path

import torch
from tools.tiny_omni import train_code2wav, train_talker, train_thinker
from tools.tiny_omni.batching import make_processor
from tools.tiny_omni.checkpoint import load
from tools.tiny_omni.shape import PREPROCESSOR, VIDEO_PREPROCESSOR, make_config
from tools.tiny_omni.tokens import token_id
from torch import nn
from transformers import GenerationConfig, Qwen3OmniMoeForConditionalGeneration

__all__ = ["assemble"]


def assemble(run: Path, folder: Path) -> None:
    """The weights as bfloat16: half the size, and no answer was lost by it."""
    processor = make_processor()
    config = make_config(processor.tokenizer)
    model = Qwen3OmniMoeForConditionalGeneration(config)
    for name, part in (
        (train_thinker.NAME, model.thinker),
        (train_talker.NAME, model.talker),
        (train_code2wav.NAME, model.code2wav),
    ):
        steps = load(run, name, part)
        if not steps:
            raise SystemExit(f"{run} has no checkpoint of {name}")
        print(f"{name}: {sum(p.numel() for p in part.parameters()):,} parameters, {steps} steps")
    nn.Module.to(model, torch.bfloat16)
    end, pad = token_id(processor.tokenizer, "<|im_end|>"), token_id(processor.tokenizer, "<|endoftext|>")
    model.generation_config = GenerationConfig(  # type: ignore[no-untyped-call]
        eos_token_id=[end], pad_token_id=pad, do_sample=False
    )
    model.save_pretrained(folder, max_shard_size="3MB")  # several files, as large models have them
    processor.tokenizer.save_pretrained(folder)
    for name, content in {
        "preprocessor_config.json": PREPROCESSOR,
        "video_preprocessor_config.json": VIDEO_PREPROCESSOR,
        "chat_template.json": {"chat_template": processor.chat_template},
    }.items():
        (folder / name).write_text(json.dumps(content, indent=2) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("folder", type=Path)
    args = parser.parse_args()
    assemble(args.run, args.folder)


if __name__ == "__main__":
    main()
