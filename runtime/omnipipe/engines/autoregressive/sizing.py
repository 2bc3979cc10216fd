"""How much memory the KV of a stage gets, in blocks."""

import os
from contextlib import suppress
from pathlib import Path
from typing import Final

import torch

from omnipipe.engines.autoregressive.architecture import Architecture
from omnipipe.engines.autoregressive.errors import EngineError
from omnipipe.spec.plan import EnginePlan

__all__ = ["kv_blocks"]

_CPU_SHARE: Final = 0.25
"""Of the memory that is free; the rest is for activations and for the other stages of a small machine."""
_CPU_MOST: Final = 4 << 30
_CUDA_SHARE: Final = 0.85
"""Of what the weights have left; the rest is for activations."""
_CGROUP: Final = Path("/sys/fs/cgroup/memory.max")


def kv_blocks(
    options: EnginePlan,
    architecture: Architecture,
    dtype: torch.dtype,
    device: torch.device,
    draft: Architecture | None = None,
) -> int:
    """Never more than all sequences of a full batch can use. A `draft` model keeps its KV under the same numbers of
    blocks. Raises EngineError when not one block fits."""
    position_bytes = architecture.position_bytes(dtype.itemsize)
    if draft is not None:
        position_bytes += draft.position_bytes(dtype.itemsize)
    block_bytes = position_bytes * options.block_tokens
    kv_bytes = _free_bytes(device) if options.kv_bytes is None else options.kv_bytes
    most = options.max_batch * -(-architecture.context // options.block_tokens)
    blocks = min(kv_bytes // block_bytes, most)
    if blocks < 1:
        raise EngineError(f"{kv_bytes} bytes for the KV cache are too few: one block of it takes {block_bytes}")
    return blocks


def _free_bytes(device: torch.device) -> int:
    if device.type == "cuda":
        free, _total = torch.cuda.mem_get_info(device)
        return int(free * _CUDA_SHARE)
    free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    with suppress(OSError, ValueError):  # no such file, or "max"
        free = min(free, int(_CGROUP.read_text()))
    return min(int(free * _CPU_SHARE), _CPU_MOST)
