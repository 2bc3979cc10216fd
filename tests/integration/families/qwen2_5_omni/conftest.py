"""One tiny model for all tests of the family."""

import gc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.integration.families.qwen2_5_omni.older_model import load_reference, save_older_model
from transformers import Qwen2_5OmniProcessor


@pytest.fixture(scope="session")
def older_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_older_model(tmp_path_factory.mktemp("tiny-older"))


@pytest.fixture(scope="package")
def older_reference(older_folder: Path) -> Iterator[Any]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield load_reference(older_folder)
    torch.set_num_threads(threads)
    gc.collect()


@pytest.fixture(scope="package")
def older_processor(older_folder: Path) -> Any:
    return Qwen2_5OmniProcessor.from_pretrained(older_folder)
