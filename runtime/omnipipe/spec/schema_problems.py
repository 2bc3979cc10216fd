"""What pydantic found, in the manifest's own words: where, what is wrong, what would be right."""

from collections.abc import Callable, Mapping
from typing import Any, Final, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from omnipipe.spec.errors import PathKey, Problem
from omnipipe.spec.manifest import Pipeline
from omnipipe.spec.scalars import PATTERN_WORDS, SOURCE_PATTERN
from omnipipe.spec.sources import likely_source
from omnipipe.spec.suggest import kind_of, listed, meant, number, shown

__all__ = ["STRUCTURE", "problems_of"]

STRUCTURE: Final = frozenset(
    {"name", "type", "from", "to", "port", "input", "stage", "family", "model", "stages", "edges", "outputs", "spec"}
)
"""Fields that decide what the graph is: with one of them wrong, nothing can be said about the graph."""


_EMPTY: Final = "must not be empty; leave the field out for its default"


def problems_of(error: ValidationError) -> list[Problem]:
    return [_problem(details) for details in error.errors(include_url=False)]


def _problem(details: ErrorDetails) -> Problem:
    path: PathKey = details["loc"]
    if path[-1] == "[key]":
        return Problem(path[:-1], f"as a key, {_message(details)}")
    if details["type"] == "extra_forbidden":
        known = _fields_at(path[:-1])
        return Problem(path, f'unknown field "{path[-1]}"{meant(str(path[-1]), known)}')
    return Problem(path, _message(details))


def _message(details: ErrorDetails) -> str:
    value, limits = details["input"], details.get("ctx", {})
    if value is None and details["type"] != "missing":
        return (
            "must not be empty; remove the field to get its default" if _has_default(details["loc"]) else "is required"
        )
    words = _WORDS.get(details["type"])
    return words(value, limits) if words is not None else f"{details['msg']}, got {shown(value)}"


def _got(text: str) -> Callable[[Any, Mapping[str, Any]], str]:
    def words(value: Any, limits: Mapping[str, Any]) -> str:
        return f"{text.format(**{key: number(limit) for key, limit in limits.items()})}, got {shown(value)}"

    return words


def _pattern(value: Any, limits: Mapping[str, Any]) -> str:
    hint = likely_source(value) if limits["pattern"] == SOURCE_PATTERN and isinstance(value, str) else ""
    return f"{PATTERN_WORDS[limits['pattern']]}, got {shown(value)}{hint}"


def _string(value: Any, limits: Mapping[str, Any]) -> str:
    # How it was spelt is not known here: `no` is false, and `1e3` is 1000.0.
    quote = " (put it in quotes)" if isinstance(value, bool | int | float) else ""
    return f"must be a string, got {shown(value)}{quote}"


def _enum(value: Any, limits: Mapping[str, Any]) -> str:
    known = [word.strip("'") for word in str(limits["expected"]).replace(" or ", ", ").split(", ")]
    hint = meant(value, known) if isinstance(value, str) else ""
    return f"must be one of {listed(known)}, got {shown(value)}{hint if 'did you mean' in hint else ''}"


def _kind(text: str) -> Callable[[Any, Mapping[str, Any]], str]:
    return lambda value, limits: f"{text}, got {kind_of(value)}"


_WORDS: Final[dict[str, Callable[[Any, Mapping[str, Any]], str]]] = {
    "missing": lambda value, limits: "is required",
    "int_type": _got("must be a whole number"),
    "int_from_float": _got("must be a whole number"),
    "float_type": _got("must be a number"),
    "finite_number": _got("must be a number"),
    "bool_type": _got("must be true or false"),
    "string_type": _string,
    "string_pattern_mismatch": _pattern,
    "string_too_short": lambda value, limits: "must not be empty",
    "string_too_long": lambda value, limits: (
        f"must be at most {limits['max_length']} characters long, got {len(value)}"
    ),
    "greater_than": _got("must be more than {gt}"),
    "greater_than_equal": _got("must be at least {ge}"),
    "less_than": _got("must be less than {lt}"),
    "less_than_equal": _got("must be at most {le}"),
    "enum": _enum,
    "literal_error": _enum,
    "model_type": _kind("must be a mapping"),
    "dict_type": _kind("must be a mapping"),
    "tuple_type": _kind("must be a list"),
    "too_long": lambda value, limits: (
        f"must have at most {limits['max_length']} entries, got {limits['actual_length']}"
    ),
    "too_short": lambda value, limits: f"must have at least {limits['min_length']} entry, got none",
    "param_kind": lambda value, limits: f"must be a number, a string, true or false, got {kind_of(value)}",
    "param_long": lambda value, limits: f"must be at most 4096 characters long, got {len(value)}",
}


def _fields_at(path: PathKey) -> list[str]:
    """The fields, as the file spells them, of the section at `path`."""
    section = _section_at(path)
    return [] if section is None else [field.alias or name for name, field in section.model_fields.items()]


def _has_default(path: PathKey) -> bool:
    section = _section_at(path[:-1])
    fields = {} if section is None else {field.alias or name: field for name, field in section.model_fields.items()}
    field = fields.get(str(path[-1]))
    return field is not None and not field.is_required()


def _section_at(path: PathKey) -> type[BaseModel] | None:
    section: type[BaseModel] | None = Pipeline
    for key in path:
        if isinstance(key, int) or section is None:
            continue
        found = next((f for n, f in section.model_fields.items() if (f.alias or n) == key), None)
        section = None if found is None else _model_in(found.annotation)
    return section


def _model_in(annotation: object) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((model for model in map(_model_in, get_args(annotation)) if model is not None), None)
