"""Finds families by name: those in this package, then those that installed packages offer."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING, cast

from omnipipe.errors import OmnipipeError
from omnipipe.families.declarations import faults
from omnipipe.spec.family import Family

if TYPE_CHECKING:
    from omnipipe.families.requests import Requests

__all__ = ["BUILT_IN", "ENTRY_POINT_GROUP", "FamilyUnusable", "family_names", "find_family", "load_requests"]

BUILT_IN = ("echo", "embed", "llm", "orpheus", "qwen2_5_omni", "qwen3_omni")
ENTRY_POINT_GROUP = "omnipipe.families"


class FamilyUnusable(OmnipipeError):
    """A package offers a family of this name, and it cannot be had. The message says whose fault it is."""


@cache
def family_names() -> tuple[str, ...]:
    """In order. Looked for once: it reads the metadata of every installed package."""
    return tuple(sorted({*BUILT_IN, *(entry.name for entry in entry_points(group=ENTRY_POINT_GROUP))}))


@cache
def find_family(name: str) -> Family | None:
    """The family, or None when nobody offers one of that name. Raises FamilyUnusable."""
    if name in BUILT_IN:
        return cast(Family, import_module(f"omnipipe.families.{name}.graph").FAMILY)
    for entry in _offered(name):
        return _loaded(entry)
    return None


def _loaded(entry: EntryPoint) -> Family:
    whose = f'the family "{entry.name}" of the package {entry.dist.name if entry.dist else "(unknown)"}'
    with _foreign(f"{whose} cannot be loaded from {entry.value}"):
        family = entry.load()
    if not isinstance(family, Family):
        raise FamilyUnusable(f"{whose} cannot be used: {entry.value} is {type(family).__name__}, not a Family")
    if family.name != entry.name:
        raise FamilyUnusable(f'{whose} cannot be used: {entry.value} says that its name is "{family.name}"')
    return family


def load_requests(family: Family) -> "Requests":
    """Raises FamilyUnusable."""
    module, _, name = family.requests.partition(":")
    with _foreign(f'the family "{family.name}" cannot load its requests {family.requests}'):
        requests = getattr(import_module(module), name)()
        found = faults(requests)
    if found:
        raise FamilyUnusable(
            f'the family "{family.name}" cannot be used: of its requests {family.requests} {"; ".join(found)}'
        )
    return cast("Requests", requests)


@contextmanager
def _foreign(trouble: str) -> Iterator[None]:
    """The boundary to somebody else's package, which may raise anything: `trouble` is what that means."""
    try:
        yield
    except Exception as error:
        raise FamilyUnusable(f"{trouble}: {type(error).__name__}: {error}") from error


def _offered(name: str) -> Iterable[EntryPoint]:
    return entry_points(group=ENTRY_POINT_GROUP, name=name)
