"""How good a model folder is at exercises that training never saw: `python -m tools.tiny_chat.evaluate DIR`.

Right means the whole answer, character by character; of a tool call, the same names and arguments with the same types.
"""

import argparse
import json
import random
import re
from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path

import torch
from tools.tiny_chat.instance import Instance
from tools.tiny_chat.mixture import TASKS, evaluation
from tools.tiny_chat.tokens import render
from transformers import AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase, Qwen3ForCausalLM

__all__ = ["answers", "is_right", "measure"]

_CALL = re.compile(r"<tool_call>\n(.*?)\n</tool_call>", re.DOTALL)
_LONGEST = 160
"""Tokens of an answer; the longest right one has about 80."""


def answers(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, instances: Sequence[Instance], temperature: float = 0
) -> list[str]:
    """By transformers' own generate, in one batch."""
    prompts = [render(instance.messages[:-1], instance.tools, generation=True) for instance in instances]
    batch = tokenizer(prompts, return_tensors="pt", padding=True, padding_side="left", add_special_tokens=False)
    sampling = {"do_sample": True, "temperature": temperature} if temperature else {"do_sample": False}
    with torch.inference_mode():
        out = model.generate(**batch, max_new_tokens=_LONGEST, **sampling)  # type: ignore[operator]
    texts = tokenizer.batch_decode(out[:, batch["input_ids"].shape[1] :], skip_special_tokens=True)
    return list(map(str, texts))


def is_right(instance: Instance, answer: str) -> bool:
    wanted = instance.messages[-1]
    calls = wanted.get("tool_calls")
    if not isinstance(calls, list):
        return answer == wanted["content"]
    try:
        made = [json.loads(text) for text in _CALL.findall(answer)]
    except ValueError:
        return False
    return made == [_plain(call) for call in calls] and not _CALL.sub("", answer).strip()


def _plain(call: Mapping[str, Mapping[str, object]]) -> dict[str, object]:
    return {"name": call["function"]["name"], "arguments": call["function"]["arguments"]}


def measure(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, task: str, count: int, seed: int, temperature: float = 0
) -> tuple[float, list[tuple[Instance, str]]]:
    """The share of right answers, and the wrong ones."""
    instances = list(islice(evaluation(task, random.Random(f"{seed}{task}")), count))
    said = answers(model, tokenizer, instances, temperature)
    wrong = [(one, text) for one, text in zip(instances, said, strict=True) if not is_right(one, text)]
    return 1 - len(wrong) / count, wrong


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--count", type=int, default=200, help="exercises of each task")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--temperature", type=float, default=0, help="0: greedy")
    parser.add_argument("--wrong", type=int, default=2, help="wrong answers to show of each task")
    args = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(args.seed)
    tokenizer = AutoTokenizer.from_pretrained(args.folder)
    model = Qwen3ForCausalLM.from_pretrained(args.folder, dtype=torch.float32)
    for task in TASKS:
        share, wrong = measure(model, tokenizer, task, args.count, args.seed, args.temperature)
        print(f"{task:15} {100 * share:5.1f}%", flush=True)
        for instance, text in wrong[: args.wrong]:
            asked, wanted = instance.messages[-2]["content"], instance.messages[-1]
            print(f"    {asked!r} -> {text!r}, not {wanted.get('tool_calls') or wanted['content']!r}")


if __name__ == "__main__":
    main()
