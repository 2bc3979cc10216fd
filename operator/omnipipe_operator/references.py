"""The objects of others that a pipeline refers to, found once for each generation of its manifest."""

from typing import Final

from omnipipe.families.registry import family_names, find_family
from omnipipe.spec.errors import ManifestError
from omnipipe.spec.reader import read_object
from omnipipe_operator.children import references
from omnipipe_operator.observed import Object, Ref

__all__ = ["References"]

_KEPT: Final = 10_000
"""Manifests. Each takes a few hundred bytes; one that was dropped is only read again."""


class References:
    def __init__(self) -> None:
        self._known: dict[tuple[str, int], tuple[Ref, ...]] = {}

    def of(self, pipeline: Object) -> tuple[Ref, ...]:
        """None for a manifest that is not valid: nothing is made of it."""
        metadata = pipeline["metadata"]
        place = (metadata["uid"], metadata["generation"])
        if place not in self._known:
            while len(self._known) >= _KEPT:
                del self._known[next(iter(self._known))]
            self._known[place] = _read(pipeline)
        return self._known[place]


def _read(pipeline: Object) -> tuple[Ref, ...]:
    try:
        return references(read_object(pipeline, find_family, family_names()))
    except ManifestError:
        return ()
