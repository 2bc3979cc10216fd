"""Finds families by name: those in this package, then those that installed packages offer."""

from collections.abc import Iterable
from functools import cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING, cast

from omnipipe.spec.family import Family

if TYPE_CHECKING:
    from omnipipe.families.requests import Requests

__all__ = ["BUILT_IN", "ENTRY_POINT_GROUP", "family_names", "find_family", "load_requests"]

BUILT_IN = ("echo", "embed", "llm", "orpheus", "qwen2_5_omni", "qwen3_omni")
ENTRY_POINT_GROUP = "omnipipe.families"


@cache
def family_names() -> tuple[str, ...]:
    """In order. Looked for once: it reads the metadata of every installed package."""
    return tuple(sorted({*BUILT_IN, *(entry.name for entry in entry_points(group=ENTRY_POINT_GROUP))}))


@cache
def find_family(name: str) -> Family | None:
    """The family, or None when nobody offers one of that name."""
    if name in BUILT_IN:
        return cast(Family, import_module(f"omnipipe.families.{name}.graph").FAMILY)
    for entry in _offered(name):
        family = entry.load()
        if not isinstance(family, Family):
            raise TypeError(f"entry point {ENTRY_POINT_GROUP}:{name} is {type(family).__name__}, not a Family")
        return family
    return None


def load_requests(family: Family) -> "Requests":
    module, _, name = family.requests.partition(":")
    return cast("Requests", getattr(import_module(module), name)())


def _offered(name: str) -> Iterable[EntryPoint]:
    return entry_points(group=ENTRY_POINT_GROUP, name=name)
