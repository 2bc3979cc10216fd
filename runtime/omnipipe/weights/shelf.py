"""A folder of fetched models, made by `omnipipe fetch --into` and read by stages (OMNIPIPE_MODELS).

    DIR/hf/<owner>--<name>/<revision>/     whole, or not there: it is renamed into place
    DIR/.partial/<slug>/                   while it is fetched; a next try keeps the files that are whole
    DIR/.locks/<slug>                      one fetcher at a time; the kernel lets go when it dies

Readers take no lock, so the folder may be mounted read-only.
"""

import fcntl
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final
from urllib.parse import quote

from omnipipe.spec.sources import Source
from omnipipe.weights.errors import WeightsError

__all__ = ["Shelf"]

DEFAULT_REVISION: Final = "main"


class Shelf:
    def __init__(self, root: Path) -> None:
        self._root = root

    def place(self, source: Source) -> Path:
        name, _, revision = source.location.partition("@")
        return self._root / source.scheme / name.replace("/", "--") / quote(revision or DEFAULT_REVISION, safe="")

    def find(self, source: Source) -> Path | None:
        place = self.place(source)
        return place if place.is_dir() else None

    def fill(self, source: Source, fetch: Callable[[Path], None], waiting: Callable[[], None]) -> Path:
        """The source's folder; `fetch` fills a partial one unless it, or another process, already has.

        `waiting` is called once when another process is at it, before waiting for it (as long as it lives)."""
        place = self.place(source)
        try:
            with self._alone(source, waiting):
                if place.is_dir():
                    return place
                partial = self._root / ".partial" / self._slug(source)
                partial.mkdir(parents=True, exist_ok=True)
                fetch(partial)
                place.parent.mkdir(parents=True, exist_ok=True)
                _flush(partial)
                partial.rename(place)
                _flush_folder(place.parent)
                return place
        except OSError as error:
            raise WeightsError(f"cannot write to {self._root}: {error.strerror or error}") from error

    def fill_with_copy(self, source: Source, folder: Path, waiting: Callable[[], None]) -> Path:
        return self.fill(source, lambda partial: _copy(folder, partial), waiting)

    def _slug(self, source: Source) -> str:
        return "--".join(self.place(source).relative_to(self._root).parts)

    @contextmanager
    def _alone(self, source: Source, waiting: Callable[[], None]) -> Iterator[None]:
        locks = self._root / ".locks"
        locks.mkdir(parents=True, exist_ok=True)
        with (locks / self._slug(source)).open("a") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                waiting()
                fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def _copy(folder: Path, partial: Path) -> None:
    shutil.rmtree(partial)
    shutil.copytree(folder, partial, ignore=shutil.ignore_patterns(".*"))


def _flush(folder: Path) -> None:
    """To the disk before the rename says that it is whole: a node may lose power."""
    for file in folder.rglob("*"):
        if file.is_file():
            with file.open("rb") as stream:
                os.fsync(stream.fileno())


def _flush_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
