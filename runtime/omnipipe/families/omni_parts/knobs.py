"""The options of single stages: `thinker_*`, `talker_*` and `stage_sampling`.

What is said of a stage goes before what is said of the request: `temperature` is the thinker's unless
`thinker_temperature` is given. Said twice of one stage, differently, it is refused.
"""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from omnipipe.families.llm.asked import Options, invalid
from omnipipe.families.omni_parts.asked import MediaOptions, TalkerSampling, ThinkerSampling, convert
from omnipipe.spec.suggest import listed, meant
from omnipipe.wire.value import Value

__all__ = ["MEDIA_OPTIONS", "STAGE_OPTIONS", "TEXT_OPTIONS", "media_options", "talker_sampling", "thinker_options"]

_STRUCTS: Final[dict[str, Any]] = {"thinker": ThinkerSampling, "talker": TalkerSampling}

TEXT_OPTIONS: Final = frozenset(Options.__struct_fields__) - {"echo"}  # which is of completions
"""Of the request itself, as the llm family has them."""
MEDIA_OPTIONS: Final = frozenset(MediaOptions.__struct_fields__)
STAGE_OPTIONS: Final = frozenset(
    {"stage_sampling"} | {f"{stage}_{name}" for stage, kind in _STRUCTS.items() for name in kind.__struct_fields__}
)

_OF_THE_TEXT: Final = {"max_new_tokens": "max_completion_tokens"}
"""What the thinker's sampling fields are called among the request's own."""


def thinker_options(given: Mapping[str, Value]) -> dict[str, Value]:
    """The request's own text options with the thinker's over them, not checked further. Raises RequestError."""
    options = {name: value for name, value in given.items() if name in TEXT_OPTIONS}
    sampling = _sampling("thinker", given)
    greedy = sampling.pop("do_sample", None)
    if greedy is False:
        if sampling.get("temperature", 0):
            raise invalid("'thinker_temperature' has no effect without 'thinker_do_sample'.", "thinker_temperature")
        options["temperature"] = 0.0
    if "max_new_tokens" in sampling:
        options.pop("max_tokens", None)
    options.update({_OF_THE_TEXT.get(name, name): value for name, value in sampling.items()})
    return options


def talker_sampling(given: Mapping[str, Value], seed: int | None) -> TalkerSampling:
    """`seed`: the request's own, which the talker has too, unless it is given one. Raises RequestError."""
    sampling = _sampling("talker", given)
    if seed is not None:
        sampling.setdefault("seed", seed)
    made: TalkerSampling = convert(sampling, TalkerSampling, "talker_")
    return made


def media_options(given: Mapping[str, Value]) -> MediaOptions:
    """Raises RequestError."""
    own = {name: value for name, value in given.items() if name in MEDIA_OPTIONS}
    made: MediaOptions = convert(own, MediaOptions, "")
    for least, most in (("min_pixels", "max_pixels"), ("video_min_pixels", "video_max_pixels")):
        low, high = getattr(made, least), getattr(made, most)
        if low is not None and high is not None and low > high:
            raise invalid(f"'{least}' must be at most '{most}'.", least)
    return made


def _sampling(stage: str, given: Mapping[str, Value]) -> dict[str, Value]:
    """All that is said of one stage, each field found right."""
    prefix = f"{stage}_"
    flat = {name.removeprefix(prefix): value for name, value in given.items() if name.startswith(prefix)}
    nested = _stage_sampling(given.get("stage_sampling")).get(stage, {})
    made: dict[str, Value] = msgspec.to_builtins(convert(flat, _STRUCTS[stage], prefix))
    for name, value in msgspec.to_builtins(convert(nested, _STRUCTS[stage], f"stage_sampling.{stage}.")).items():
        if made.setdefault(name, value) != value:
            twice = f"stage_sampling.{stage}.{name}"
            raise invalid(f"'{twice}' and '{prefix}{name}' differ: give one of them.", twice)
    return made


def _stage_sampling(given: Value) -> dict[str, dict[str, Value]]:
    if given is None:
        return {}
    if not isinstance(given, dict):
        raise invalid("'stage_sampling' must be an object: a stage's name and its sampling fields.", "stage_sampling")
    for stage, fields in given.items():
        path = f"stage_sampling.{stage}"
        if stage not in _STRUCTS:
            hint = meant(stage, _STRUCTS)
            raise invalid(f"'{path}': only {listed(_STRUCTS)} sample{hint}.", path, "unknown_parameter")
        if not isinstance(fields, dict):
            raise invalid(f"'{path}' must be an object of sampling fields.", path, "invalid_type")
        known = _STRUCTS[stage].__struct_fields__
        for name in fields:
            if name not in known:
                hint = meant(name, known)
                raise invalid(f"'{path}.{name}' is not a sampling field{hint}.", f"{path}.{name}", "unknown_parameter")
    return given
