"""Questions as the tensors that the thinker takes, by the model's own processor and template."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import torch
from tools.tiny_omni.questions import HEARS_HZ, Question
from tools.tiny_omni.shape import PREPROCESSOR, VIDEO_PREPROCESSOR
from tools.tiny_omni.tokens import make_tokenizer
from torch import Tensor
from transformers import Qwen2VLImageProcessor, Qwen2VLVideoProcessor, Qwen3OmniMoeProcessor, WhisperFeatureExtractor

__all__ = ["FRAME_PIXELS", "QWENS_FRAME_PIXELS", "encode", "make_processor", "messages"]

_VIDEO_SETTINGS: Final = {"fps": 2.0, "do_sample_frames": False, "cap_pixels_per_frame": True}
FRAME_PIXELS: Final = 32 * 32
"""Of a video, where nothing else is said: one token for two frames."""
QWENS_FRAME_PIXELS: Final = 384 * 384
"""What the processor makes of a small video when it is not asked for less: 144 tokens for two frames."""
_IGNORED: Final = -100


def make_processor() -> Qwen3OmniMoeProcessor:
    template = (Path(__file__).parent / "chat_template.jinja").read_text()
    sound: dict[str, Any] = {key: value for key, value in PREPROCESSOR.items() if key in _SOUND}
    image: dict[str, Any] = {key: value for key, value in PREPROCESSOR.items() if key not in _SOUND}
    video: dict[str, Any] = VIDEO_PREPROCESSOR
    return Qwen3OmniMoeProcessor(  # type: ignore[no-untyped-call]
        Qwen2VLImageProcessor(**image),
        Qwen2VLVideoProcessor(**video),
        WhisperFeatureExtractor(**sound),  # type: ignore[no-untyped-call]
        make_tokenizer(),
        chat_template=template,
    )


_SOUND: Final = (
    "chunk_length", "dither", "feature_size", "hop_length", "n_fft", "n_samples", "nb_max_frames", "padding_side",
    "padding_value", "return_attention_mask", "sampling_rate",
)  # fmt: skip


def messages(question: Question) -> list[dict[str, Any]]:
    """As a client sends them: the media first."""
    media = [kind for kind in ("image", "video", "audio") if getattr(question, kind) is not None]
    content: list[dict[str, str]] = [{"type": kind} for kind in media]
    return [{"role": "user", "content": [*content, {"type": "text", "text": question.text}]}]


def encode(
    processor: Qwen3OmniMoeProcessor,
    questions: Sequence[Question],
    answered: bool,
    side: str = "right",
    frame_pixels: int = FRAME_PIXELS,
) -> dict[str, Tensor]:
    """What the thinker's forward takes. `answered`: with the answers, and `labels` that are those alone."""
    template: Any = processor.apply_chat_template
    prompts = [template(messages(one), tokenize=False, add_generation_prompt=True) for one in questions]
    answers = [one.answer + "<|im_end|>" if answered else "" for one in questions]
    found: dict[str, Any] = dict(
        processor(
            text=[prompt + answer for prompt, answer in zip(prompts, answers, strict=True)],
            images=[one.image for one in questions if one.image is not None] or None,
            videos=[torch.from_numpy(one.video).movedim(3, 1) for one in questions if one.video is not None] or None,
            audio=[one.audio for one in questions if one.audio is not None] or None,
            videos_kwargs={**_VIDEO_SETTINGS, "size": {"shortest_edge": frame_pixels, "longest_edge": frame_pixels}},
            audio_kwargs={"sampling_rate": HEARS_HZ},
            text_kwargs={"padding": True, "padding_side": side},
            return_tensors="pt",
        )
    )
    if answered:
        labels = torch.full_like(found["input_ids"], _IGNORED)
        for row, answer in enumerate(answers):
            ids = processor.tokenizer.encode(answer)
            end = int(found["attention_mask"][row].sum())
            labels[row, end - len(ids) : end] = torch.tensor(ids)
        found["labels"] = labels
    return found
