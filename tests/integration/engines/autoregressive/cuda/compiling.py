"""Compiles what a step launches for GPUs that are not here: `python -m … CAPABILITY`. Needs no driver: the compiler and
the assembler come with Triton. Says how much of the GPU each kernel takes."""

import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import torch
import triton  # type: ignore[import-untyped]
from triton.backends.compiler import GPUTarget  # type: ignore[import-untyped]
from triton.compiler import ASTSource  # type: ignore[import-untyped]

from omnipipe.engines.autoregressive.architecture import Architecture, LayerShape
from omnipipe.engines.autoregressive.cuda import kernels
from omnipipe.engines.autoregressive.cuda.device_step import DeviceStep
from omnipipe.engines.autoregressive.kv import KvMemory, Place

SHARED: Final = 99 << 10
"""Bytes that a block of threads may have on the smallest of these GPUs."""
STACK: Final = 128
"""Bytes that a thread may keep outside its registers."""
SLOTS = 16
_TYPES: Final = {
    torch.float32: "*fp32", torch.float16: "*fp16", torch.bfloat16: "*bf16", torch.int32: "*i32",
}  # fmt: skip
_TOOL: Final = Path(triton.__file__).parent / "backends" / "nvidia" / "bin" / "cuobjdump"

Launch = tuple[str, tuple[Any, ...]]
_CASES: Final = {
    80: [(torch.bfloat16, 128, 4, 40), (torch.float16, 256, 2, 40), (torch.float32, 64, 7, 40)],
    90: [(torch.bfloat16, 128, 4, 1), (torch.bfloat16, 128, 7, 40), (torch.bfloat16, 64, 71, 1)],
}
"""dtype, size of heads, heads for each of KV, rows of a slice."""


def launches(dtype: torch.dtype, dim: int, groups: int, rows: int, processors: int) -> dict[str, tuple[Any, ...]]:
    """What a step hands to each kernel."""
    found: dict[str, tuple[Any, ...]] = {}

    class Noted:
        def __init__(self, name: str) -> None:
            self._name = name

        def __getitem__(self, grid: Any) -> Callable[..., None]:
            return lambda *args: found.__setitem__(self._name, args)

    architecture = Architecture((LayerShape(2, dim, dim),), context=1024, hidden_size=16, vocab_size=16)
    memory = KvMemory(architecture, 64, SLOTS, dtype, torch.device("cpu"))
    step = DeviceStep.of(memory, [Place(0, rows, 1000, range(1, 64))], processors)
    real = {name: getattr(kernels, name) for name in kernels.__all__}
    try:
        for name in real:
            setattr(kernels, name, Noted(name))
        x = torch.zeros((1, 2, rows, dim), dtype=dtype)
        query = torch.zeros((1, 2 * groups, rows, dim), dtype=dtype)
        step.attend(0, query, x, x, scale=0.1, window=100, softcap=0.0)
    finally:
        for name, kernel in real.items():
            setattr(kernels, name, kernel)
    return found


def built(name: str, args: tuple[Any, ...], capability: int) -> Any:
    kernel = getattr(kernels, name)
    signature, constants, attributes = {}, {}, {}
    for index, (param, given) in enumerate(zip(kernel.params, args, strict=True)):
        if param.is_constexpr:
            signature[param.name], constants[param.name] = "constexpr", given
        else:
            tensor = isinstance(given, torch.Tensor)
            signature[param.name] = _TYPES[given.dtype] if tensor else "fp32" if isinstance(given, float) else "i32"
            if tensor:  # torch's memory begins at multiples of more than that
                attributes[(index,)] = [["tt.divisibility", 16]]
    return triton.compile(ASTSource(kernel, signature, constants, attributes), target=GPUTarget("cuda", capability, 32))


def spilled(binary: bytes) -> int:
    """Bytes of a thread's stack."""
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(binary)
        file.flush()
        said = subprocess.run([_TOOL, "-res-usage", file.name], capture_output=True, text=True, check=True).stdout
    sizes = re.findall(r"STACK:(\d+)", said)
    assert sizes, said
    return max(map(int, sizes))


def main(capability: int) -> None:
    for case in _CASES[capability]:
        for processors in (1, 132):
            noted = launches(*case, processors)
            assert ("merge" in noted) == (processors > 1)
            for name, args in noted.items():
                if processors > 1 and name == "store":
                    continue
                kernel = built(name, args, capability)
                line = f"sm_{capability} {name} {case}: {kernel.metadata.shared} bytes shared"
                sys.stdout.write(f"{line}\n")
                assert kernel.metadata.shared <= SHARED, line
                assert spilled(kernel.asm["cubin"]) <= STACK, f"{line}: registers are spilled"


if __name__ == "__main__":
    main(int(sys.argv[1]))
