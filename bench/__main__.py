"""`python -m bench [p1 p4 ...]`: runs the benchmarks named (all without names) and prints one table.

A benchmark is a module beside this one with `rows() -> list[Row]`; `p3_chain` is selected by `p3` or its whole name.
The process ends with 1 when a benchmark could not run; a goal that is not met is a figure like any other.
"""

import argparse
import os
import platform
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules

from bench.row import Row

__all__ = ["discover", "main", "render", "select"]

Benchmark = Callable[[], list[Row]]

_HEADS = ("id", "work", "figure", "baseline", "ratio", "goal", "met")


def discover() -> dict[str, Benchmark]:
    """Module name -> its `rows`, in order of name."""
    found = {}
    for module in sorted(info.name for info in iter_modules([str(Path(__file__).parent)])):
        if module != "__main__":
            rows = getattr(import_module(f"bench.{module}"), "rows", None)
            if callable(rows):
                found[module] = rows
    return found


def select(known: Sequence[str], wanted: Sequence[str]) -> list[str]:
    """Raises ValueError naming what is not there."""
    if not wanted:
        return list(known)
    chosen = []
    for name in wanted:
        matching = [module for module in known if name in (module, module.partition("_")[0])]
        if not matching:
            raise ValueError(f"no benchmark {name!r}; there are {', '.join(known)}")
        chosen += [module for module in matching if module not in chosen]
    return chosen


def render(rows: Sequence[Row]) -> str:
    """A Markdown table that reads in a terminal, too."""
    cells = [_HEADS, *(_cells(row) for row in rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(_HEADS))]
    lines = [
        "| " + " | ".join(f"{cell:<{width}}" for cell, width in zip(line, widths, strict=True)) + " |" for line in cells
    ]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measure Omnipipe; print one table.")
    parser.add_argument("names", nargs="*", help="p1, p3_chain, ...; all when none is named")
    known = discover()
    try:
        chosen = select(list(known), parser.parse_args(arguments).names)
    except ValueError as error:
        parser.error(str(error))
    rows: list[Row] = []
    broken: list[str] = []
    for name in chosen:
        print(f"{name} ...", file=sys.stderr, end=" ", flush=True)
        started = time.monotonic()
        try:
            rows += known[name]()
        except Exception:  # the border of one benchmark: the others still have something to say
            traceback.print_exc()
            broken.append(name)
        print(f"{time.monotonic() - started:.0f} s", file=sys.stderr)
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}\n")
    print(render(rows))
    if broken:
        print(f"\ncould not run: {', '.join(broken)}")
    return 1 if broken else 0


def _cells(row: Row) -> tuple[str, ...]:
    ratio = "" if row.ratio is None else f"{row.ratio:.2f}"
    return (row.id, row.work, row.figure, row.baseline, ratio, row.goal, "yes" if row.met else "NO")


if __name__ == "__main__":
    sys.exit(main())
