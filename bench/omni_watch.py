"""How much of the time at least one engine of a server computes, seen from outside.

Looks at the states of the engines' threads every hundredth of a second, from a process of its own: one that shares its
interpreter with the load would look when that rests. A thread counts when it runs or waits for a core to run on.
"""

import os
import select
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Watched", "watching"]

_EVERY_S = 0.01
_END_S = 10.0
_LONGEST = 512
"""Bytes of a line in /proc."""


@dataclass
class Watched:
    looks: int = 0
    computing: int = 0
    """Of the looks, those that found an engine computing."""


@contextmanager
def watching(threads: Sequence[Path], watched: Watched) -> Iterator[None]:
    """`threads`: folders in /proc. What is seen is added to `watched` at the end."""
    words = [sys.executable, "-m", "bench.omni_watch", *map(str, threads)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as watcher:
        assert watcher.stdout is not None
        watcher.stdout.readline()  # it looks from now on
        yield
        out, _ = watcher.communicate(timeout=_END_S)
    looks, computing = map(int, out.split())
    watched.looks += looks
    watched.computing += computing


def _computes(file: int) -> bool:
    try:
        line = os.pread(file, _LONGEST, 0)
    except ProcessLookupError:  # it has ended
        return False
    return line.rpartition(b") ")[2].startswith(b"R")


def _main(folders: Sequence[str]) -> None:
    """Until its input ends."""
    files = [os.open(f"{folder}/stat", os.O_RDONLY) for folder in folders]
    looks = computing = 0
    print("looking", flush=True)
    while not select.select([sys.stdin], [], [], _EVERY_S)[0]:
        looks += 1
        computing += any(_computes(file) for file in files)
    print(looks, computing)


if __name__ == "__main__":
    _main(sys.argv[1:])
