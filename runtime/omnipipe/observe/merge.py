"""One Prometheus exposition from several: a gateway's own and those of the stages on the same machine.

A text merge, not a parse: families are grouped, HELP and TYPE stand once, and every sample gets a `process` label, so
that two replicas (or two processes' `process_open_fds`) stay two series. Pure; `scrape` does the fetching.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

__all__ = ["Exposition", "merge"]

_SUFFIXES: Final = ("_total", "_bucket", "_count", "_sum", "_created", "_info")
_SAMPLE: Final = re.compile(r"([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (.+)")
_OWN: Final = re.compile(r'(?:^|,)process="')


@dataclass(frozen=True, slots=True)
class Exposition:
    process: str
    """`gateway`, `compose-0`: becomes the `process` label."""
    text: str


@dataclass(slots=True)
class _Family:
    head: dict[str, str] = field(default_factory=dict)
    """`HELP` and `TYPE` -> the whole line; of several the first."""
    samples: dict[str, str] = field(default_factory=dict)
    """Name with labels -> value (and time); of two equal ones the first."""


def merge(expositions: Iterable[Exposition]) -> str:
    """Lines that are not an exposition's are left out: one bad process must not make the whole document unreadable."""
    families: dict[str, _Family] = {}
    for exposition in expositions:
        _add(families, exposition)
    lines: list[str] = []
    for family in families.values():
        lines += [family.head[key] for key in ("HELP", "TYPE") if key in family.head]
        lines += [f"{series} {value}" for series, value in family.samples.items()]
    return "\n".join([*lines, ""]) if lines else ""


def _add(families: dict[str, _Family], exposition: Exposition) -> None:
    label = f'process="{_escaped(exposition.process)}"'
    current, known = "", False
    for line in exposition.text.splitlines():
        if line.startswith("#"):
            parts = line.split(" ", 3)
            if len(parts) >= 3 and parts[1] in ("HELP", "TYPE"):
                current, known = parts[2], True
                families.setdefault(current, _Family()).head.setdefault(parts[1], line)
            continue
        found = _SAMPLE.fullmatch(line)
        if found is None:
            continue
        name, labels, value = found.groups()
        if not known or not _belongs(name, current):
            current, known = name, False
        if not labels:
            labels = label
        elif _OWN.search(labels) is None:
            labels = f"{label},{labels}"
        families.setdefault(current, _Family()).samples.setdefault(f"{name}{{{labels}}}", value)


def _belongs(name: str, family: str) -> bool:
    return name == family or (name.startswith(family) and name[len(family) :] in _SUFFIXES)


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
