"""The CPU kernels that the engine can do without: those of the image, else built once for this machine and kept in its
cache, never waited for.

Until they are there (the compiler takes some ten seconds), and where there is no compiler, the engine computes the same
in plain torch operations; the memory layout is one, so that it changes over between two steps.
"""

import fcntl
import logging
import os
import shutil
import threading
from pathlib import Path
from typing import Any, Final

import torch

from omnipipe.engines.kernels.library import (
    COMPILER,
    PREBUILT,
    BuildError,
    build,
    cpu_flags,
    find_prebuilt,
    native_name,
)

__all__ = ["NativeKernels"]

_log = logging.getLogger(__name__)

SLOTS: Final = 16
"""Positions in a block, in the kernel."""


class NativeKernels:
    """`ready` once the kernels can be called. `start` loads them, or builds them in a thread that nobody waits for.
    `cache_dir`: for what is built here. `prebuilt`: what an image has."""

    def __init__(self, cache_dir: Path | None = None, prebuilt: Path = PREBUILT) -> None:
        self.ready = False
        self._folder = _cache_folder() if cache_dir is None else cache_dir
        self._prebuilt = prebuilt
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
        found = find_prebuilt(cpu_flags(), self._prebuilt)
        if found is not None and self._load(found[0]):
            _log.info("kernels for the CPU: those of the image, for %s", found[1])
            return
        library = self._folder / native_name()
        if library.exists():
            self._load(library)
        elif shutil.which(COMPILER) is not None:
            self._thread = threading.Thread(target=self._build, args=(library,), name="build-kernel", daemon=True)
            self._thread.start()
        else:
            _log.info("kernels for the CPU: none, for there is no %s; plain torch operations do", COMPILER)

    @property
    def building(self) -> bool:
        """They are not there, and may come."""
        return not self.ready and self._thread is not None and self._thread.is_alive()

    def wait(self, timeout_s: float) -> bool:
        """Until a build has ended; whether the kernels are there."""
        if self._thread is not None:
            self._thread.join(timeout_s)
        return self.ready

    def _build(self, library: Path) -> None:
        """One process of a machine builds; those that start beside it wait for what it makes."""
        try:
            library.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            with library.with_suffix(".lock").open("w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)  # until the file is closed, or this process ends
                if not library.exists():
                    build(library, "native")
        except (BuildError, OSError) as error:
            _log.warning("the kernels for the CPU could not be built, plain torch operations do: %s", error)
            return
        self._load(library)

    def _load(self, library: Path) -> bool:
        try:
            operations: Any = torch.ops  # not typed
            if not hasattr(operations.omnipipe, "paged_attention"):
                operations.load_library(str(library))
        except (OSError, RuntimeError) as error:
            _log.warning("the kernels in %s do not load, plain torch operations do: %s", library, error)
            return False
        self.ready = True
        return True


def _cache_folder() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "omnipipe" / "kernels"
