"""One tiny model for all tests of the family."""

import gc
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from tests.integration.families.qwen3_omni.tiny_model import load_processor, load_reference, save_tiny_model
from transformers import Qwen3OmniMoeForConditionalGeneration, Qwen3OmniMoeProcessor


@pytest.fixture(scope="session")
def omni_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_model(tmp_path_factory.mktemp("tiny-omni"))


@pytest.fixture(scope="package")
def omni_reference(omni_folder: Path) -> Iterator[Qwen3OmniMoeForConditionalGeneration]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield load_reference(omni_folder)
    torch.set_num_threads(threads)
    gc.collect()


@pytest.fixture(scope="package")
def omni_processor(omni_folder: Path) -> Qwen3OmniMoeProcessor:
    return load_processor(omni_folder)
