"""What was worked out of a manifest, kept for as long as it is the same: to read it, compile its plan and render its
objects is most of what a look costs, and nearly every look is at a manifest that has not changed.

Results of pure functions alone, each beside everything that went into it: what is decided with this and without is the
same, and it may be lost at any time. Nothing that is observed belongs here.
"""

import zlib
from collections.abc import Callable, Iterable
from typing import Any, Final, Literal

import msgspec

from omnipipe.families.registry import family_names, find_family
from omnipipe.spec.plan import Plan
from omnipipe.spec.reader import ValidatedPipeline, read_object
from omnipipe_operator.children import stamped
from omnipipe_operator.observed import Object

__all__ = ["Known", "KnownManifest"]

_KEPT: Final = 2000
"""Manifests, each some 45 KB: an operator of more pipelines works out anew what it has dropped."""
_READ: Final = ("name", "namespace", "labels", "annotations")
"""Of an object's metadata: what reading looks at. A change of it is no new generation."""

Part = Literal["cohort", "standing", "job"]


class KnownManifest:
    """One manifest, as of one generation."""

    def __init__(self, manifest: ValidatedPipeline) -> None:
        self.manifest = manifest
        self._plan: tuple[tuple[Any, ...], Plan] | None = None
        self._objects: dict[Part, tuple[tuple[Any, ...], bytes]] = {}

    def plan(self, arguments: tuple[Any, ...], compiled: Callable[[], Plan]) -> Plan:
        """`arguments`: all that `compiled` looks at beside the manifest."""
        if self._plan is None or self._plan[0] != arguments:
            self._plan = (arguments, compiled())
        return self._plan[1]

    def objects(self, part: Part, arguments: tuple[Any, ...], render: Callable[[], Iterable[Object]]) -> list[Object]:
        """Stamped. Kept as packed bytes, which take a twentieth of the memory and a tenth of the time of rendering."""
        known = self._objects.get(part)
        if known is None or known[0] != arguments:
            values = [stamped(value) for value in render()]
            known = self._objects[part] = (arguments, zlib.compress(msgspec.json.encode(values), 1))
        found: list[Object] = msgspec.json.decode(zlib.decompress(known[1]))
        return found


class Known:
    def __init__(self, most: int = _KEPT) -> None:
        self._most = most
        self._manifests: dict[str, tuple[Object, KnownManifest]] = {}
        """By uid."""

    def __len__(self) -> int:
        return len(self._manifests)

    def manifest(self, pipeline: Object) -> KnownManifest:
        """Raises ManifestError; what is wrong is read again each time."""
        metadata = pipeline["metadata"]
        read = {"generation": metadata.get("generation"), **{name: _copy(metadata.get(name)) for name in _READ}}
        known = self._manifests.pop(metadata["uid"], None)
        if known is None or known[0] != read:
            known = (read, KnownManifest(read_object(pipeline, find_family, family_names())))
        while len(self._manifests) >= self._most:
            del self._manifests[next(iter(self._manifests))]
        self._manifests[metadata["uid"]] = known
        return known[1]


def _copy(value: Any) -> Any:
    return dict(value) if isinstance(value, dict) else value
