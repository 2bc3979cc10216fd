"""Token counts as the stages report them, summed for one answer."""

from collections.abc import Sequence

import msgspec

from omnipipe.wire.value import Value

__all__ = ["CompletionDetails", "PromptDetails", "Usage", "merged", "total", "usage_of"]


class PromptDetails(msgspec.Struct, frozen=True):
    cached_tokens: int
    """Taken from a prefix that was computed before."""


class CompletionDetails(msgspec.Struct, frozen=True):
    reasoning_tokens: int


class Usage(msgspec.Struct, frozen=True, omit_defaults=True):
    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: PromptDetails | msgspec.UnsetType = msgspec.UNSET
    completion_tokens_details: CompletionDetails | msgspec.UnsetType = msgspec.UNSET
    """Details are there when the stages count them."""


def usage_of(meta: dict[str, Value]) -> Usage | None:
    """What an output's last piece says it took; None when its stage does not count."""
    usage = meta.get("usage")
    if not isinstance(usage, dict):
        return None
    prompt, completion = usage.get("prompt_tokens", 0), usage.get("completion_tokens", 0)
    if not isinstance(prompt, int) or not isinstance(completion, int):
        return None
    cached, reasoning = usage.get("cached_tokens"), usage.get("reasoning_tokens")
    if cached is None and reasoning is None:
        return Usage(prompt, completion, prompt + completion)
    return _made(prompt, completion, cached, reasoning)


def merged(one: Usage, other: Usage) -> Usage:
    """Two outputs of one request: they share its prompt, each adds what it made."""
    prompt = max(one.prompt_tokens, other.prompt_tokens)
    completion = one.completion_tokens + other.completion_tokens
    cached = [count for usage in (one, other) if (count := _cached(usage)) is not None]
    return _made(prompt, completion, max(cached, default=None), _reasoning([one, other]))


def total(choices: Sequence[Usage | None], per_prompt: int) -> Usage | None:
    """All choices of one answer, `per_prompt` of them to each prompt, which counts once. None when any is unknown:
    a sum with a hole in it would be a lie."""
    if len(choices) == 1:
        return choices[0]
    known = [usage for usage in choices if usage is not None]
    if len(known) != len(choices):
        return None
    firsts = known[::per_prompt]
    prompt = sum(usage.prompt_tokens for usage in firsts)
    completion = sum(usage.completion_tokens for usage in known)
    cached = [count for usage in firsts if (count := _cached(usage)) is not None]
    return _made(prompt, completion, sum(cached) if cached else None, _reasoning(known))


def _made(prompt: int, completion: int, cached: int | None, reasoning: int | None) -> Usage:
    return Usage(
        prompt,
        completion,
        prompt + completion,
        msgspec.UNSET if cached is None else PromptDetails(cached),
        msgspec.UNSET if reasoning is None else CompletionDetails(reasoning),
    )


def _cached(usage: Usage) -> int | None:
    details = usage.prompt_tokens_details
    return details.cached_tokens if isinstance(details, PromptDetails) else None


def _reasoning(usages: Sequence[Usage]) -> int | None:
    details = [usage.completion_tokens_details for usage in usages]
    counts = [detail.reasoning_tokens for detail in details if isinstance(detail, CompletionDetails)]
    return sum(counts) if counts else None
