"""Which exercises there are, how often each comes, and how they become conversations."""

import random
from collections.abc import Callable, Iterator, Mapping
from typing import Final

from tools.tiny_chat import arithmetic, calls, facts, smalltalk, words
from tools.tiny_chat.instance import Instance, held_out

__all__ = ["TASKS", "conversation", "evaluation"]

Maker = Callable[[random.Random], Instance]

TASKS: Final[Mapping[str, tuple[Maker, float]]] = {
    "add": (arithmetic.add, 12),
    "subtract": (arithmetic.subtract, 9),
    "multiply": (arithmetic.multiply, 6),
    "story": (arithmetic.story, 2.5),
    "sort_numbers": (arithmetic.sort_numbers, 6),
    "extreme": (arithmetic.extreme, 3),
    "count_to": (arithmetic.count_to, 1.5),
    "sort_words": (words.sort_words, 7),
    "reverse": (words.reverse, 2.5),
    "count_words": (words.count_words, 5),
    "repeat": (words.repeat, 5),
    "context": (facts.context, 9),
    "json": (facts.as_json, 3),
    "tool_call": (calls.tool_call, 9),
    "tool_answer": (calls.tool_answer, 8),
    "parallel_calls": (calls.parallel_calls, 2.5),
    "tool_unused": (calls.tool_unused, 1.5),
    "chat": (smalltalk.chat, 1.5),
    "named": (smalltalk.named, 1),
    "unknown": (smalltalk.unknown, 1),
}
"""Task -> its maker and its share."""

_WEIGHTS: Final = [share for _, share in TASKS.values()]
_MAKERS: Final = [maker for maker, _ in TASKS.values()]
_SYSTEMS: Final = (
    "You are a helpful assistant.",
    "You are a friendly assistant.",
    "You are tiny-chat.",
    "Be brief.",
    "Help the user.",
)


def _of_training(rng: random.Random) -> Instance:
    while True:
        instance = rng.choices(_MAKERS, _WEIGHTS)[0](rng)
        if not held_out(instance):
            return instance


def conversation(rng: random.Random) -> tuple[list[Mapping[str, object]], list[Mapping[str, object]]]:
    """Messages and tools: one to four exercises one after the other, with at most one set of tools and one system
    message, as a client would send them."""
    first = _of_training(rng)
    system, tools = first.system, list(first.tools)
    messages = list(first.messages)
    for _ in range(rng.choice((0, 0, 1, 1, 2, 3))):
        more = _of_training(rng)
        if more.tools or more.system:
            continue
        if tools and more.task in ("add", "subtract", "unknown", "context"):
            continue  # a tool may be what these are for
        messages.extend(more.messages)
    if not system and rng.random() < 0.25:
        system = rng.choice(_SYSTEMS)
    return _with_system(system, messages), tools


def _with_system(system: str, messages: list[Mapping[str, object]]) -> list[Mapping[str, object]]:
    return [{"role": "system", "content": system}, *messages] if system else messages


def evaluation(task: str, rng: random.Random) -> Iterator[Instance]:
    """Exercises of a task that training never saw."""
    maker, _ = TASKS[task]
    while True:
        instance = maker(rng)
        if held_out(instance):
            yield Instance(
                instance.task,
                instance.key,
                tuple(_with_system(instance.system, list(instance.messages))),
                instance.tools,
            )
