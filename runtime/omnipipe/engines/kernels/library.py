"""The C++ sources beside this file as one shared library: its name, how it is built, and which of several built
beforehand this processor runs.

`python library.py FOLDER` builds one for each level of this architecture. An image ships these: a node need not
have a compiler, nor the processor of the machine that built the image. Must not import anything of ours: the Dockerfile
runs it as a file with nothing but the sources beside it, so that no other change builds them anew.
"""

import hashlib
import os
import platform
import subprocess
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import torch

__all__ = [
    "COMPILER",
    "PREBUILT",
    "BuildError",
    "Level",
    "build",
    "cpu_flags",
    "find_prebuilt",
    "levels",
    "native_name",
    "prebuild",
]

FOLDER: Final = Path(__file__).parent
SOURCES: Final = sorted(FOLDER.glob("*.cpp"))
"""All of them are in the library."""
HEADERS: Final = sorted(FOLDER.glob("*.h"))
COMPILER: Final = "g++"
PREBUILT: Final = Path(sys.prefix) / "share" / "omnipipe" / "kernels"
"""Where an image has its own."""

_TIMEOUT_S: Final = 300.0
_FLAGS: Final = (
    "-O3", "-std=c++20", "-fPIC", "-shared", "-fopenmp", "-fno-math-errno", "-fno-trapping-math",
    "-ffp-contract=fast", "-Wno-psabi",
)  # fmt: skip
"""Never -ffast-math: linking with it flushes denormals to zero in the whole process."""
_CPUINFO: Final = Path("/proc/cpuinfo")


class BuildError(Exception):
    """The compiler's first line about it, or the system's."""


@dataclass(frozen=True, slots=True)
class Level:
    march: str
    """The compiler's word for it."""
    needs: frozenset[str]
    """In the kernel's words for what a processor has."""

    @property
    def file(self) -> str:
        return f"omnipipe-{_digest(self.march)}-{self.march}.so"


_V2: Final = frozenset({"cx16", "lahf_lm", "popcnt", "pni", "ssse3", "sse4_1", "sse4_2"})
_V3: Final = _V2 | {"avx", "avx2", "bmi1", "bmi2", "f16c", "fma", "abm", "movbe", "xsave"}
_V4: Final = _V3 | {"avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"}
_LEVELS: Final = {
    "x86_64": (Level("x86-64-v4", _V4), Level("x86-64-v3", _V3)),
    "aarch64": (Level("armv8-a", frozenset({"asimd"})),),
}
"""The best first."""


def levels(machine: str | None = None) -> Sequence[Level]:
    """Of the architecture; none of one that nothing is known about."""
    return _LEVELS.get(platform.machine() if machine is None else machine, ())


def find_prebuilt(flags: Iterable[str], folder: Path = PREBUILT, machine: str | None = None) -> tuple[Path, str] | None:
    """The best that a processor with these `flags` runs, made of these sources for this torch; and its level."""
    there = set(flags)
    for level in levels(machine):
        library = folder / level.file
        if level.needs <= there and library.is_file():
            return library, level.march
    return None


def native_name() -> str:
    """Of the library for this very processor."""
    model = [line for line in _first_processor() if line.startswith(("flags", "Features", "model name"))]
    return f"omnipipe-{_digest('native', platform.machine(), *model)}.so"


def cpu_flags(cpuinfo: Path = _CPUINFO) -> frozenset[str]:
    """Nothing where the system does not tell."""
    for line in _first_processor(cpuinfo):
        if line.startswith(("flags", "Features")):
            return frozenset(line.partition(":")[2].split())
    return frozenset()


def build(library: Path, march: str) -> None:
    """Raises BuildError. Without torch's own helper for it, which needs setuptools, which an image lacks."""
    part = library.with_suffix(f".{os.getpid()}")
    own = Path(torch.__file__).parent
    includes = ("-isystem", str(own / "include"), "-isystem", str(own / "include/torch/csrc/api/include"))
    linked = (f"-L{own / 'lib'}", "-ltorch_cpu", "-lc10")
    command = ["nice", "-n", "10", COMPILER, f"-march={march}", *_FLAGS, *includes]
    try:
        library.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        subprocess.run(
            [*command, *map(str, SOURCES), "-o", str(part), *linked],
            check=True,
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_S,
        )
        part.replace(library)  # another process may have done the same: either file will do
    except (OSError, subprocess.SubprocessError) as error:
        said = (getattr(error, "stderr", None) or str(error)).strip().splitlines()
        raise BuildError(said[0] if said else type(error).__name__) from error
    finally:
        part.unlink(missing_ok=True)


def prebuild(folder: Path = PREBUILT) -> None:
    """What `find_prebuilt` finds. Everybody may read it. Raises BuildError."""
    folder.mkdir(parents=True, exist_ok=True)
    for level in levels():
        build(folder / level.file, level.march)


def _digest(*more: str) -> str:
    """Of what a library is made from, so that one of other sources or for another torch is never loaded."""
    digest = hashlib.sha256("\0".join((torch.__version__, *_FLAGS, *more)).encode())
    for file in (*SOURCES, *HEADERS):
        digest.update(f"\0{file.name}\0".encode() + file.read_bytes())
    return digest.hexdigest()[:16]


def _first_processor(cpuinfo: Path = _CPUINFO) -> list[str]:
    try:
        return cpuinfo.read_text().partition("\n\n")[0].splitlines()
    except OSError:
        return []


if __name__ == "__main__":
    prebuild(Path(sys.argv[1]))
