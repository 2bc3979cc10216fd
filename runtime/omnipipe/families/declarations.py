"""What a `Requests` says of itself, checked before the first client comes: a family in somebody's own package has no
type checker of ours, and what it left out would be a 500 for each request.
"""

from collections.abc import Collection
from typing import Any, Final

__all__ = ["CAPABILITIES", "MEDIA", "faults"]

CAPABILITIES: Final = frozenset({"chat", "completion", "embed", "speech", "tokenize"})
MEDIA: Final = frozenset({"image", "audio", "video"})
"""Those of `families.requests`, which brings the wire's types: the operator knows families without them."""
_FORMATS: Final = frozenset({"wav", "pcm16", "mp3", "flac", "opus", "aac"})
_METHODS: Final = {
    "chat": ("entry",),
    "completion": ("entry",),
    "embed": ("entry_embed",),
    "speech": ("entry_speech",),
    "tokenize": ("entry_tokenize", "entry_detokenize"),
}


def faults(requests: Any) -> list[str]:
    """In words; none: the gateway can ask it what it will ask. Any: it is whatever the package's author made."""
    found: list[str] = []
    for name, known in (("capabilities", CAPABILITIES), ("media", MEDIA), ("audio_formats", _FORMATS)):
        found += _names(requests, name, known)
    for name in ("options", "voices"):
        found += _names(requests, name)
    found += _number(requests, "sample_rate_hz", 0)
    if found:
        return found
    if not requests.capabilities:
        return ["'capabilities' is empty: there is nothing that it could be asked for"]
    if "speech" in requests.capabilities:
        found += _names(requests, "speech_options") + _number(requests, "speech_chars", 1)
        if not requests.sample_rate_hz:
            found.append("'sample_rate_hz' is 0, and it has the capability speech")
    needed = {method for capability in requests.capabilities for method in _METHODS[capability]}
    for method in sorted({*needed, "check_stage_params"}):
        if not callable(getattr(requests, method, None)):
            found.append(f"there is no method '{method}'")
    return found


def _names(requests: Any, name: str, known: Collection[str] = ()) -> list[str]:
    value = getattr(requests, name, None)
    if not isinstance(value, frozenset | set) or not all(isinstance(one, str) for one in value):
        has = f"is {value!r}" if hasattr(requests, name) else "is missing"
        return [f"'{name}' {has}; it must be a frozenset of names, frozenset() for none"]
    if known and (strange := sorted(value - set(known))):
        return [f"'{name}' has {', '.join(strange)}; there are {', '.join(sorted(known))}"]
    return []


def _number(requests: Any, name: str, least: int) -> list[str]:
    value = getattr(requests, name, None)
    if isinstance(value, int) and not isinstance(value, bool) and value >= least:
        return []
    has = f"is {value!r}" if hasattr(requests, name) else "is missing"
    return [f"'{name}' {has}; it must be a whole number from {least}"]
