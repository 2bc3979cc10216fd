"""Whether a stage computes as on a GPU. Cheap to import: Triton comes in where it is used, and nowhere else."""

from importlib.util import find_spec
from typing import TYPE_CHECKING

import torch

from omnipipe.engines.autoregressive.kv import KvMemory
from omnipipe.spec.plan import EnginePlan

if TYPE_CHECKING:
    from omnipipe.engines.autoregressive.cuda.quick import Quick

__all__ = ["has_quick", "quick_for"]


def has_quick(options: EnginePlan, device: torch.device) -> bool:
    return options.gpu_kernels and device.type == "cuda" and find_spec("triton") is not None


def quick_for(options: EnginePlan, memory: KvMemory, context: int, stage: str) -> "Quick | None":
    """`context`: positions that a sequence has at most."""
    if not has_quick(options, memory.keys[0].device):
        return None
    from omnipipe.engines.autoregressive.cuda.quick import Quick

    return Quick(memory, max_batch=options.max_batch, width=-(-context // options.block_tokens), stage=stage)
