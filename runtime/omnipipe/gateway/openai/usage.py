"""Token counts as the stages report them, summed for one answer."""

from collections.abc import Sequence

import msgspec

from omnipipe.wire.value import Value

__all__ = ["Usage", "merged", "total", "usage_of"]


class Usage(msgspec.Struct, frozen=True):
    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


def usage_of(meta: dict[str, Value]) -> Usage | None:
    """What an output's last piece says it took; None when its stage does not count."""
    usage = meta.get("usage")
    if not isinstance(usage, dict):
        return None
    prompt, completion = usage.get("prompt_tokens", 0), usage.get("completion_tokens", 0)
    if not isinstance(prompt, int) or not isinstance(completion, int):
        return None
    return Usage(prompt, completion, prompt + completion)


def merged(one: Usage, other: Usage) -> Usage:
    """Two outputs of one request: they share its prompt, each adds what it made."""
    prompt = max(one.prompt_tokens, other.prompt_tokens)
    completion = one.completion_tokens + other.completion_tokens
    return Usage(prompt, completion, prompt + completion)


def total(choices: Sequence[Usage | None], per_prompt: int) -> Usage | None:
    """All choices of one answer, `per_prompt` of them to each prompt, which counts once. None when any is unknown:
    a sum with a hole in it would be a lie."""
    if len(choices) == 1:
        return choices[0]
    known = [usage for usage in choices if usage is not None]
    if len(known) != len(choices):
        return None
    prompt = sum(usage.prompt_tokens for usage in known[::per_prompt])
    completion = sum(usage.completion_tokens for usage in known)
    return Usage(prompt, completion, prompt + completion)
