"""One exercise with its right answer, and which of them the training never sees."""

import hashlib
import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

__all__ = ["Instance", "Message", "call", "held_out", "phrase"]

Message = Mapping[str, object]
"""As chat templates take them: role, content, tool_calls."""

HELD_OUT_SHARE = 16
"""One key in so many is kept for evaluation."""


@dataclass(frozen=True, slots=True)
class Instance:
    task: str
    key: str
    """What makes it the same exercise, whatever the phrasing: equal keys are held out together."""
    messages: tuple[Message, ...]
    """Ends with the assistant's answer; every assistant message in it is right."""
    tools: tuple[Mapping[str, object], ...] = ()
    system: str = ""

    @classmethod
    def asked(cls, task: str, key: object, question: str, answer: str, system: str = "") -> "Instance":
        messages = ({"role": "user", "content": question}, {"role": "assistant", "content": answer})
        return cls(task, str(key), messages, system=system)


def held_out(instance: Instance) -> bool:
    digest = hashlib.sha256(f"{instance.task}|{instance.key}".encode()).digest()
    return digest[0] % HELD_OUT_SHARE == 0


def phrase(rng: random.Random, phrasings: Sequence[str], **fields: object) -> str:
    """One of the phrasings filled in; now and then without its capital letter or its last mark, as people type."""
    pattern = rng.choice(phrasings)
    if rng.random() < 0.15 and not pattern.startswith("{"):
        pattern = pattern[0].lower() + pattern[1:]
    if rng.random() < 0.15 and pattern[-1] in ".?" and not pattern.endswith("}."):
        pattern = pattern[:-1]
    return pattern.format(**fields)


def call(name: str, arguments: Mapping[str, object]) -> Message:
    """One entry of `tool_calls`, in OpenAI's shape with the arguments still an object."""
    return {"type": "function", "function": {"name": name, "arguments": json.loads(json.dumps(arguments))}}
