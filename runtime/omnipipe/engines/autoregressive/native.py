"""The CPU kernel for paged attention: built once for a machine, kept in its cache, never waited for.

Until it is there (the compiler takes some ten seconds), and where there is no compiler, the engine computes the same in
plain torch operations; the memory layout is one, so that it changes over between two steps.
"""

import hashlib
import logging
import os
import platform
import shutil
import subprocess
import threading
from functools import cache
from pathlib import Path
from typing import Any, Final

import torch

__all__ = ["NativeAttention"]

_log = logging.getLogger(__name__)

SOURCE: Final = Path(__file__).with_name("paged_attention.cpp")
SLOTS: Final = 16
"""Positions in a block, in the kernel."""
_TIMEOUT_S: Final = 300.0
_FLAGS: Final = (
    "-O3", "-march=native", "-std=c++20", "-fPIC", "-shared", "-fopenmp", "-fno-math-errno", "-fno-trapping-math",
    "-ffp-contract=fast", "-Wno-psabi",
)  # fmt: skip
"""Never -ffast-math: linking with it flushes denormals to zero in the whole process."""


class NativeAttention:
    """`ready` once the kernel can be called. `start` loads it, or builds it in a thread that nobody waits for."""

    def __init__(self, cache_dir: Path | None = None) -> None:
        self.ready = False
        self._folder = _cache_folder() if cache_dir is None else cache_dir
        self._thread: threading.Thread | None = None

    @staticmethod
    def fits(dtype: torch.dtype, device: torch.device, block_tokens: int, dims: set[tuple[int, int]]) -> bool:
        """`dims`: of keys and values, of all layers."""
        return (
            dtype == torch.float32
            and device.type == "cpu"
            and block_tokens == SLOTS
            and all(key == value and key % 16 == 0 for key, value in dims)
        )

    def start(self) -> None:
        library = self._folder / f"paged_attention_{_key()}.so"
        if library.exists():
            self._load(library)
        elif shutil.which("g++") is not None:
            self._thread = threading.Thread(target=self._build, args=(library,), name="build-kernel", daemon=True)
            self._thread.start()
        else:
            _log.info("no g++: attention runs in plain torch operations")

    def wait(self, timeout_s: float) -> bool:
        """Until a build has ended; whether the kernel is there."""
        if self._thread is not None:
            self._thread.join(timeout_s)
        return self.ready

    def _build(self, library: Path) -> None:
        from torch.utils import cpp_extension

        part = library.with_suffix(f".{os.getpid()}")
        includes = [word for path in cpp_extension.include_paths() for word in ("-isystem", path)]
        linked = [f"-L{path}" for path in cpp_extension.library_paths()]
        command = ["nice", "-n", "10", "g++", *_FLAGS, *includes, str(SOURCE), "-o", str(part), *linked]
        try:
            library.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            subprocess.run(
                [*command, "-ltorch_cpu", "-lc10"], check=True, capture_output=True, text=True, timeout=_TIMEOUT_S
            )
            part.replace(library)  # another process may have done the same: either file will do
        except (OSError, subprocess.SubprocessError) as error:
            said = (getattr(error, "stderr", None) or str(error)).strip().splitlines()
            _log.warning("the attention kernel could not be built, plain torch operations do: %s", said[:1])
            return
        self._load(library)

    def _load(self, library: Path) -> None:
        try:
            operations: Any = torch.ops  # not typed
            if not hasattr(operations.omnipipe, "paged_attention"):
                operations.load_library(str(library))
        except (OSError, RuntimeError) as error:
            _log.warning("the attention kernel does not load, plain torch operations do: %s", error)
            return
        self.ready = True


def _cache_folder() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "omnipipe" / "kernels"


@cache
def _key() -> str:
    """Of what the file depends on: source, torch, and the processor that `-march=native` is about."""
    cpu = platform.machine()
    for line in Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else ():
        if line.startswith(("flags", "Features", "model name")):
            cpu += line
        if not line:
            break
    text = SOURCE.read_bytes() + f"{torch.__version__} {_FLAGS} {cpu}".encode()
    return hashlib.sha256(text).hexdigest()[:16]
