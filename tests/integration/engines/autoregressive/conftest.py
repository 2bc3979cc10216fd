"""The kernel, built once on a machine."""

import shutil

import pytest
from tests.integration.engines.autoregressive.test_parity import BUILD_S

from omnipipe.engines.kernels.native import NativeKernels


@pytest.fixture(scope="module")
def kernel() -> NativeKernels:
    if shutil.which("g++") is None:
        pytest.skip("no g++ on this machine")
    built = NativeKernels()
    built.start()
    assert built.wait(BUILD_S)
    return built
