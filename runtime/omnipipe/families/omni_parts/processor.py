"""The model folder's processor: tokenizer, chat template, and what makes features of images, sound and video."""

from pathlib import Path
from typing import TypeVar

from transformers import AutoProcessor
from transformers.models.qwen2_vl import video_processing_qwen2_vl  # noqa: F401  # it takes seconds, with the GIL held

from omnipipe.engines.errors import LoadingError
from omnipipe.engines.loading import one_line

__all__ = ["load_processor"]

ProcessorT = TypeVar("ProcessorT")


def load_processor(folder: Path, kind: type[ProcessorT]) -> ProcessorT:
    """Raises LoadingError, in one line."""
    with one_line(f"{folder.name}: its processor"):
        processor = AutoProcessor.from_pretrained(folder, local_files_only=True)  # type: ignore[no-untyped-call]
    if not isinstance(processor, kind):
        raise LoadingError(f"{folder.name}: its processor is a {type(processor).__name__}, not a {kind.__name__}")
    return processor
