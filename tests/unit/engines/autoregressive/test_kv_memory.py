"""The memory of keys and values, whatever kind of pages it lies in."""

import gc

import pytest
import torch

from omnipipe.engines.autoregressive.architecture import Architecture, LayerShape
from omnipipe.engines.autoregressive.kv import KvMemory


@pytest.mark.parametrize("blocks", [1, 1500], ids=["small", "large"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_memory_is_zero_and_each_layers_own(blocks: int, dtype: torch.dtype) -> None:
    layers = (LayerShape(2, 32, 32), LayerShape(2, 32, 64))
    architecture = Architecture(layers=layers, context=64, hidden_size=16, vocab_size=16)
    memory = KvMemory(architecture, blocks, 16, dtype, torch.device("cpu"))
    assert memory.keys[0].shape == (blocks + 1, 2, 32, 16)
    assert memory.values[1].shape == (blocks + 1, 2, 16, 64)
    every = [*memory.keys, *memory.values]
    assert all(one.dtype == dtype and not one.any() for one in every)
    for number, one in enumerate(every):
        one.fill_(number + 1)
    gc.collect()  # a tensor holds the memory that it lies in
    assert all(bool((one == number + 1).all()) for number, one in enumerate(every))
