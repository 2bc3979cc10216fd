"""Embeddings equal those of transformers' thinker, alone and in a mixed batch, and are made once."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.integration.families.omni_parts.stages import context_of, job_of, run_to_end, values_of
from transformers import Qwen3OmniMoeForConditionalGeneration

from omnipipe.families.omni_parts.byte_cache import ByteCache
from omnipipe.families.omni_parts.tensors import from_torch, to_torch
from omnipipe.families.qwen3_omni.encoders import AudioEncoder, VisionEncoder
from omnipipe.families.qwen3_omni.graph import FAMILY
from omnipipe.wire.value import Value

pytestmark = pytest.mark.timeout(400)

FRAMES = (7, 60, 60, 99, 100, 101, 250, 900)
"""Around the tower's windows of 100, and of several in one attention."""
GRIDS = ((1, 4, 4), (1, 8, 6), (3, 4, 6), (1, 4, 4))


@pytest.fixture(scope="module")
def audio(omni_folder: Path) -> AudioEncoder:
    return AudioEncoder(context_of(FAMILY, omni_folder, "audio-encoder"))


@pytest.fixture(scope="module")
def vision(omni_folder: Path) -> VisionEncoder:
    return VisionEncoder(context_of(FAMILY, omni_folder, "vision-encoder"))


def spectra() -> list[torch.Tensor]:
    torch.manual_seed(0)
    return [torch.randn(128, frames) for frames in FRAMES]


def patches() -> list[torch.Tensor]:
    torch.manual_seed(1)
    return [torch.randn(times * height * width, 3 * 2 * 16 * 16) for times, height, width in GRIDS]


def heard(numbers: Sequence[int]) -> dict[str, Value]:
    clips = spectra()
    return {"items": [{"item": n, "key": b"a%d" % n, "features": from_torch(clips[n])} for n in numbers]}


def seen(numbers: Sequence[int]) -> dict[str, Value]:
    pictures = patches()
    return {
        "items": [
            {"item": n, "key": b"v%d" % n, "features": from_torch(pictures[n]), "grid": list(GRIDS[n])}
            for n in numbers
        ]
    }  # fmt: skip


def asked(program: Any, port: str, *requests: dict[str, Value]) -> list[list[Any]]:
    jobs = [job_of(str(index), {port: value}, ["embeds"]) for index, value in enumerate(requests)]
    ends = run_to_end(program, jobs)
    return [values_of(ends[job.rid])["embeds"]["items"] for job in jobs]


def expected_sound(model: Qwen3OmniMoeForConditionalGeneration, number: int) -> torch.Tensor:
    clip = spectra()[number][None]
    with torch.no_grad():
        found = model.thinker.get_audio_features(
            clip, feature_attention_mask=torch.ones(1, clip.shape[2], dtype=torch.long)
        )
    result: torch.Tensor = found.last_hidden_state
    return result


def expected_pictures(model: Qwen3OmniMoeForConditionalGeneration, number: int) -> list[torch.Tensor]:
    with torch.no_grad():
        found: Any = model.thinker.get_image_features(patches()[number], torch.tensor([GRIDS[number]]))
    return [found.pooler_output[0], *(layer[0] for layer in found.deepstack_features)]


def test_sound(audio: AudioEncoder, omni_reference: Qwen3OmniMoeForConditionalGeneration) -> None:
    for split in ([[n] for n in range(8)], [[0, 7, 3], [1, 2], [], [4, 5, 6]]):
        audio._known = ByteCache(0)
        for numbers, items in zip(split, asked(audio, "audio", *map(heard, split)), strict=True):
            assert [item["item"] for item in items] == numbers
            for number, item in zip(numbers, items, strict=True):
                wanted = expected_sound(omni_reference, number)
                np.testing.assert_allclose(to_torch(item["embeds"]).numpy(), wanted.numpy(), atol=2e-5)


def test_pictures(vision: VisionEncoder, omni_reference: Qwen3OmniMoeForConditionalGeneration) -> None:
    for split in ([[n] for n in range(4)], [[0, 2], [1, 3]]):
        vision._known = ByteCache(0)
        for numbers, items in zip(split, asked(vision, "vision", *map(seen, split)), strict=True):
            for number, item in zip(numbers, items, strict=True):
                wanted = expected_pictures(omni_reference, number)
                for got, want in zip((item["embeds"], *item["deep"]), wanted, strict=True):
                    np.testing.assert_allclose(to_torch(got).numpy(), want.numpy(), atol=2e-5)


def test_what_is_known_is_not_made_again(omni_folder: Path) -> None:
    vision = VisionEncoder(context_of(FAMILY, omni_folder, "vision-encoder", cache_mb=1))
    passes: list[int] = []
    encode = vision.encode

    def counted(items: Sequence[Value]) -> Any:
        passes.append(len(items))
        return encode(items)

    vision.encode = counted  # type: ignore[method-assign]
    (first,), (again,) = asked(vision, "vision", seen([0])), asked(vision, "vision", seen([0]))
    both = asked(vision, "vision", seen([0, 1]), seen([1]))
    assert passes == [1, 1]
    assert [item["embeds"].data.tobytes() for item in again] == [item["embeds"].data.tobytes() for item in first]
    assert [[item["item"] for item in items] for items in both] == [[0, 1], [1]]


def test_weights_of_other_parts_are_not_read(audio: AudioEncoder, vision: VisionEncoder) -> None:
    assert type(audio._loaded.module).__name__ == "Qwen3OmniMoeAudioEncoder"
    assert type(vision._loaded.module).__name__ == "Qwen3OmniMoeVisionEncoder"
