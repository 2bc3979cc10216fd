"""The kernel's numbers on the device, against plain operations in f32."""

import pytest

from omnipipe.engines.autoregressive.cuda.rehearsal import apart
from omnipipe.engines.autoregressive.cuda.trial import LayerKind, Trial

DEVICE = "cuda:0"
KINDS = [
    LayerKind(heads, kv_heads, dim, dim, window, softcap, sinks)
    for heads, kv_heads in ((4, 4), (8, 2), (14, 2), (20, 1))
    for dim in (32, 64, 80, 96, 128, 256)
    for window, softcap, sinks in ((0, 0.0, False), (20, 0.0, True), (300, 30.0, False))
]


@pytest.mark.parametrize("slots", [16, 5, 128])
@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float32"])
def test_the_kernel_computes_what_plain_operations_do(dtype: str, slots: int) -> None:
    """In a process of its own, as a stage does it, for each size of heads one."""
    for dim in sorted({kind.key_dim for kind in KINDS}):
        kinds = [kind for kind in KINDS if kind.key_dim == dim]
        assert apart(Trial(DEVICE, dtype, slots, kinds)) == ""


def test_keys_and_values_of_other_sizes() -> None:
    assert apart(Trial(DEVICE, "bfloat16", 16, [LayerKind(4, 4, 192, 128), LayerKind(4, 2, 24, 16)])) == ""
