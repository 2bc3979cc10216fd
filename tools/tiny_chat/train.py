"""Trains builtin://tiny-chat and writes it as a model folder: `python -m tools.tiny_chat.train --into DIR`.

The same seed, steps and thread count give the same model on the same machine.
"""

import argparse
import random
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch
from tools.tiny_chat.tokens import CONTEXT, encode, train_tokenizer
from torch import Tensor, nn
from transformers import GenerationConfig, PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM

BATCH_TOKENS = 2048
"""Of one worker; the step is taken on the sum of all."""
POOL = 1536
"""Conversations that are sorted by length together, so that a batch needs little padding."""
WARMUP_STEPS = 50


def make_model(tokenizer: PreTrainedTokenizerFast) -> Qwen3ForCausalLM:
    config = Qwen3Config(
        vocab_size=len(tokenizer),
        hidden_size=128,
        intermediate_size=352,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=32,
        max_position_embeddings=CONTEXT,
        tie_word_embeddings=True,
        rope_parameters={"rope_type": "default", "rope_theta": 10_000.0},
        initializer_range=0.04,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return Qwen3ForCausalLM(config)


def batches(tokenizer: PreTrainedTokenizerFast, seed: int) -> Iterator[tuple[Tensor, Tensor]]:
    """(ids, labels), padded at the right: a causal model needs no mask there. Without end."""
    rng = random.Random(seed)
    pad = tokenizer.pad_token_id
    while True:
        pool = sorted((encode(tokenizer, rng) for _ in range(POOL)), key=lambda pair: len(pair[0]))
        groups: list[list[tuple[list[int], list[bool]]]] = [[]]
        for pair in pool:
            if (len(groups[-1]) + 1) * len(pair[0]) > BATCH_TOKENS:
                groups.append([])
            groups[-1].append(pair)
        rng.shuffle(groups)
        for group in groups:
            width = len(group[-1][0])
            ids = torch.tensor([row + [pad] * (width - len(row)) for row, _ in group])
            said = torch.tensor([marks + [False] * (width - len(marks)) for _, marks in group])
            yield ids, torch.where(said, ids, -100)


def gradients(model: Qwen3ForCausalLM, ids: Tensor, labels: Tensor) -> tuple[float, tuple[Tensor, ...]]:
    """Of the cross entropy of what the assistant says. In f32: bf16 pays for larger matrices only."""
    torch.set_num_threads(1)  # a worker is a thread: whole batches side by side beat operations split in two
    hidden = model.model(input_ids=ids[:, :-1], use_cache=False).last_hidden_state
    wanted = labels[:, 1:]
    there = wanted != -100
    loss = nn.functional.cross_entropy(model.lm_head(hidden[there]), wanted[there])
    return loss.item(), torch.autograd.grad(loss, list(model.parameters()))


def optimizers(model: Qwen3ForCausalLM, rate: float) -> list[torch.optim.Optimizer]:
    """Muon for the matrices of the layers, AdamW for embeddings and norms: half the steps of AdamW alone."""
    matrices = [p for name, p in model.named_parameters() if p.ndim == 2 and "embed" not in name]
    rest = [p for name, p in model.named_parameters() if p.ndim != 2 or "embed" in name]
    return [
        torch.optim.Muon(matrices, lr=rate, weight_decay=0.05, adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW(rest, lr=rate, betas=(0.9, 0.95), weight_decay=0.0),
    ]


def rate_at(step: int, steps: int, cooldown: int) -> float:
    """Of the full rate: up in `WARMUP_STEPS`, flat, then down to nothing in the last `cooldown` steps."""
    return min(1.0, (step + 1) / WARMUP_STEPS, (steps - step) / cooldown)


def train(into: Path, steps: int, cooldown: int, seed: int, rate: float, workers: int) -> None:
    """A file `enough` in the folder ends it early and well: the cooldown begins, as with fewer steps."""
    torch.manual_seed(seed)
    tokenizer = train_tokenizer(seed)
    model = make_model(tokenizer).train()
    groups = optimizers(model, rate)
    data = batches(tokenizer, seed + 1)
    pool = ThreadPoolExecutor(workers)
    began, tokens, total = time.monotonic(), 0, 0.0
    print(f"{sum(p.numel() for p in model.parameters()):,} parameters, {len(tokenizer)} tokens", flush=True)
    step = -1
    while (step := step + 1) < steps:
        if (into / "enough").exists() and step + cooldown < steps:
            steps = step + cooldown
            print(f"asked to end: {steps} steps", flush=True)
        work = [next(data) for _ in range(workers)]
        done = list(pool.map(lambda pair: gradients(model, *pair), work))
        for parameter, *parts in zip(model.parameters(), *(grads for _, grads in done), strict=True):
            parameter.grad = torch.stack(parts).mean(0)
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for group in groups:
            for settings in group.param_groups:
                settings["lr"] = rate * rate_at(step, steps, cooldown)
            group.step()
        tokens += sum(ids.numel() for ids, _ in work)
        total += sum(loss for loss, _ in done) / workers
        if (step + 1) % 50 == 0:
            spent = time.monotonic() - began
            print(f"{step + 1}/{steps} loss {total / 50:.4f} {tokens / spent:,.0f} tokens/s {spent:.0f} s", flush=True)
            total = 0.0
        if (step + 1) % 500 == 0:
            save(model, tokenizer, into)
    save(model, tokenizer, into)


def save(model: Qwen3ForCausalLM, tokenizer: PreTrainedTokenizerFast, into: Path) -> None:
    """In bf16: half the size, and no exercise was lost by it."""
    config = model.config.to_dict()
    copy = Qwen3ForCausalLM(Qwen3Config(**{**config, "dtype": torch.bfloat16}))
    copy.load_state_dict(model.state_dict())
    nn.Module.to(copy, torch.bfloat16)
    copy.generation_config = GenerationConfig(  # type: ignore[no-untyped-call]
        eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id, do_sample=False
    )
    copy.save_pretrained(into)
    tokenizer.save_pretrained(into)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--into", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=1427)
    parser.add_argument("--cooldown", type=int, default=350)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--rate", type=float, default=0.005)
    parser.add_argument("--workers", type=int, default=2)
    args = parser.parse_args()
    train(args.into, args.steps, args.cooldown, args.seed, args.rate, args.workers)


if __name__ == "__main__":
    main()
