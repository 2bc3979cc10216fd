"""What makes models quicker on GPUs, as far as it can be shown without one.

The kernel runs in Triton's interpreter, through the engine, with graphs that are played back in place of captured ones;
and it is compiled for GPUs. `make gpu-check` shows the rest, on a machine that has one.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from omnipipe.engines.autoregressive.cuda.choice import has_quick
from omnipipe.spec.plan import EngineKind, EnginePlan

ROOT = Path(__file__).parents[5]
HERE = "tests.integration.engines.autoregressive.cuda"


def ran(module: str, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", module, *words],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=350,
        check=False,
    )


@pytest.mark.parametrize(
    "checks",
    [
        ("kernel, f32", "wrong kernels"),
        ("kernel, bf16", "kernel, f16, odd blocks"),
        ("llama", "a request gone wrong"),
        ("gemma2", "captures", "apart"),
        ("asks the device", "frozen graph", "failing graph"),
        (
            "failed trial",
            "kernel off",
            "kernel fails at once",
            "kernel fails later",
            "no room in a comparison",
            "no room",
        ),
    ],
    ids=lambda checks: checks[0],
)
def test_in_the_interpreter(checks: tuple[str, ...]) -> None:
    done = ran(f"{HERE}.quick_checks", *checks, TRITON_INTERPRET="1")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("capability", [80, 90])
def test_it_compiles_for_gpus(capability: int, tmp_path: Path) -> None:
    done = ran(f"{HERE}.compiling", str(capability), TRITON_CACHE_DIR=str(tmp_path))
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("device", "on", "quick"), [("cpu", True, False), ("cuda:1", True, True), ("cuda:1", False, False)]
)
def test_it_is_for_gpus_and_can_be_turned_off(device: str, on: bool, quick: bool) -> None:
    options = EnginePlan(kind=EngineKind.AUTOREGRESSIVE, gpu_kernels=on)
    assert has_quick(options, torch.device(device)) == quick
