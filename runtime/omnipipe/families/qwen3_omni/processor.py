"""The model folder's processor: tokenizer, chat template, and what makes features of images, sound and video."""

from pathlib import Path
from typing import TypeVar

from transformers import AutoProcessor, Qwen3OmniMoeProcessor
from transformers.models.qwen2_vl import video_processing_qwen2_vl  # noqa: F401  # it takes seconds, with the GIL held

from omnipipe.engines.errors import LoadingError

__all__ = ["load_omni_processor", "load_processor"]

ProcessorT = TypeVar("ProcessorT")


def load_processor(folder: Path) -> Qwen3OmniMoeProcessor:
    return load_omni_processor(folder, Qwen3OmniMoeProcessor)


def load_omni_processor(folder: Path, kind: type[ProcessorT]) -> ProcessorT:
    """Raises LoadingError, in one line."""
    try:
        processor = AutoProcessor.from_pretrained(folder, local_files_only=True)  # type: ignore[no-untyped-call]
    except Exception as error:  # many kinds, none documented; all of them mean that this model cannot be loaded
        reason = next((line.strip() for line in str(error).splitlines() if line.strip()), "") or type(error).__name__
        raise LoadingError(f"{folder.name}: its processor cannot be loaded: {reason}") from error
    if not isinstance(processor, kind):
        raise LoadingError(f"{folder.name}: its processor is a {type(processor).__name__}, not a {kind.__name__}")
    return processor
