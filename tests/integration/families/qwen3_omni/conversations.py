"""Conversations with media: transformers' own answers to them, and what the thinker's edges bring of them.

The edge values are made with transformers' modules directly, so that what is tested with them is the thinker and the
talker alone.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from transformers import Qwen3OmniMoeForConditionalGeneration, Qwen3OmniMoeProcessor
from transformers.models.qwen3_omni_moe.modeling_qwen3_omni_moe import _get_feat_extract_output_lengths

from omnipipe.families.omni_parts.tensors import from_torch
from omnipipe.wire.value import Value

__all__ = ["CONVERSATIONS", "Expected", "Talk", "edge_values", "expected_of", "model_inputs"]

_SAMPLES_HZ = 16_000


@dataclass(frozen=True)
class Talk:
    """Sizes of made-up media, and what is asked of them."""

    text: str
    images: tuple[tuple[int, int], ...] = ()
    """Height and width, in pixels."""
    seconds: tuple[float, ...] = ()
    """Of clips of sound."""
    videos: tuple[int, ...] = ()
    """Frames."""
    sounding: bool = False
    """The videos' sound is the clips."""
    before: tuple[str, ...] = ()
    """Earlier turns, the user's first."""


CONVERSATIONS = {
    "text": Talk("What is in the image?"),
    "long": Talk("The quick brown fox jumps over the lazy dog, and says hello to the world. " * 3),
    "turns": Talk("Describe the video.", before=("one two three", "four five", "What do you hear?", "Paris")),
    "image": Talk("What is in the image?", images=((64, 96),)),
    "audio": Talk("What do you hear?", seconds=(1.3,)),
    "video": Talk("Describe the video.", videos=(6,)),
    "mixed": Talk("Describe and count.", images=((64, 64), (96, 64)), seconds=(0.7, 1.9), videos=(4,)),
    "sounding": Talk("Describe the video.", seconds=(2.0,), videos=(4,), sounding=True),
    "seen before": Talk("And now?", images=((64, 96),), before=("What is in the image?", "fox")),
}


def model_inputs(processor: Qwen3OmniMoeProcessor, talk: Talk) -> dict[str, Any]:
    """As `generate` takes them."""
    generator = np.random.default_rng(abs(hash((talk.images, talk.seconds, talk.videos))) % 2**32)
    content: list[dict[str, str]] = [{"type": "image"} for _ in talk.images]
    content += [{"type": "audio"} for _ in talk.seconds]
    content += [{"type": "video"} for _ in talk.videos]
    content.append({"type": "text", "text": talk.text})
    turns = [*talk.before, ""]
    messages: list[dict[str, Any]] = [
        {"role": ("user", "assistant")[at % 2], "content": [{"type": "text", "text": text}]}
        for at, text in enumerate(turns)
    ]
    messages[-1]["content"] = content
    if talk.before and content[0]["type"] != "text":  # the media come with the first turn
        messages[0]["content"] = [*content[:-1], *messages[0]["content"]]
        messages[-1]["content"] = content[-1:]
    apply: Any = processor.apply_chat_template
    text = apply(messages, add_generation_prompt=True, tokenize=False)
    images = [generator.integers(0, 256, (*size, 3), dtype=np.uint8) for size in talk.images]
    sounds = [generator.normal(0, 0.1, int(s * _SAMPLES_HZ)).astype(np.float32) for s in talk.seconds]
    videos = [torch.from_numpy(generator.integers(0, 256, (n, 3, 64, 64), dtype=np.uint8)) for n in talk.videos]
    call: Any = processor
    made = call(
        text=[text], images=images or None, audio=sounds or None, videos=videos or None, return_tensors="pt",
        padding=True,
    )  # fmt: skip
    inputs = dict(made)
    return _sounding(processor, inputs) if talk.sounding else inputs


def _sounding(processor: Any, inputs: dict[str, Any]) -> dict[str, Any]:
    """The clip, which stands before the video, moves into it: what is heard and seen at one time stands together."""
    ids = inputs["input_ids"][0].tolist()
    marks = [processor.tokenizer.convert_tokens_to_ids(f"<|{name}|>") for name in ("audio_start", "audio_end")]
    heard, seen = (ids.count(token) for token in (processor.audio_token_id, processor.video_token_id))
    grids = int(inputs["video_grid_thw"][0, 0])
    second = float(inputs["video_second_per_grid"][0])
    sights = [(at * grids // seen * second * processor.position_id_per_seconds, 0) for at in range(seen)]
    times = sorted([*sights, *((float(at), 1) for at in range(heard))], key=lambda one: one)
    tokens = (processor.video_token_id, processor.audio_token_id)
    together = [marks[0], *(tokens[kind] for _, kind in times), marks[1]]
    first = ids.index(marks[0])
    rest = ids[:first] + ids[first + heard + 2 :]
    at = rest.index(processor.video_token_id)
    ids = [*rest[:at], *together, *rest[at + seen :]]
    made = torch.tensor([ids])
    return {**inputs, "input_ids": made, "attention_mask": torch.ones_like(made), "use_audio_in_video": True}


@dataclass
class Expected:
    """What generate says."""

    text: list[int]
    """The stop token included."""
    codes: list[list[int]] = field(default_factory=list)
    """Frame by frame."""


def expected_of(
    reference: Qwen3OmniMoeForConditionalGeneration, inputs: dict[str, Any], *, text: int, codes: int, penalty: float
) -> Expected:
    caught: list[torch.Tensor] = []

    def decode(found: torch.Tensor, **_: Any) -> torch.Tensor:
        caught.append(found[0].T)
        return torch.zeros((1, 1, 1))

    kept, reference.code2wav.chunked_decode = reference.code2wav.chunked_decode, decode
    generate: Any = reference.generate
    try:
        sequences, _ = generate(
            **inputs, thinker_max_new_tokens=text, talker_max_new_tokens=codes, talker_do_sample=False,
            talker_repetition_penalty=penalty, thinker_eos_token_id=reference.config.im_end_token_id,
        )  # fmt: skip
    finally:
        reference.code2wav.chunked_decode = kept
    return Expected(sequences[0, inputs["input_ids"].shape[1] :].tolist(), caught[0].tolist())


def edge_values(reference: Qwen3OmniMoeForConditionalGeneration, inputs: dict[str, Any], name: str) -> dict[str, Value]:
    """The thinker's inputs. `name`: of the media, for their keys."""
    thinker: Any = reference.thinker
    ids = inputs["input_ids"][0]
    config: Any = reference.config.thinker_config
    kinds = {config.image_token_id: "image", config.video_token_id: "video", config.audio_token_id: "audio"}
    made = {kind: list(_embedded(thinker, inputs, kind)) for kind in kinds.values()}
    items = [(kind, embeds, deep) for kind in kinds.values() for embeds, deep in made[kind]]
    prompt: dict[str, Value] = {
        "tokens": from_torch(ids.int()),
        "items": [{"kind": kind, "key": f"{name}{n}".encode(), "size": len(e)} for n, (kind, e, _) in enumerate(items)],
        "spans": list(_spans(ids.tolist(), kinds, [(kind, len(embeds)) for kind, embeds, _ in items])),
        "options": {},
        "speech": _spoken(reference, inputs),
    }
    if items:
        prompt["positions"] = from_torch(_rope(reference.thinker, ids[None], inputs)[:, 0].float())
    values: dict[str, Value] = {"prompt": prompt}
    for edge, of in (("audio", {"audio"}), ("vision", {"image", "video"})):
        embedded: list[Value] = [
            {"item": at, "embeds": from_torch(embeds), "deep": [from_torch(layer) for layer in deep]}
            for at, (kind, embeds, deep) in enumerate(items)
            if kind in of
        ]
        if embedded:
            values[edge] = {"items": embedded}
    return values


def _embedded(thinker: Any, inputs: dict[str, Any], kind: str) -> Iterator[tuple[torch.Tensor, list[torch.Tensor]]]:
    with torch.no_grad():
        if kind == "audio" and "input_features" in inputs:
            # Together: what is padding beside a longer clip reaches the last embeddings of a shorter one.
            mask = inputs["feature_attention_mask"]
            embeds = thinker.get_audio_features(inputs["input_features"], mask).last_hidden_state
            count: Any = _get_feat_extract_output_lengths  # it has no types
            for part in embeds.split(count(mask.sum(-1)).tolist()):
                yield part, []
            return
        pixels = {"image": "pixel_values", "video": "pixel_values_videos"}.get(kind, "")
        if pixels not in inputs:
            return
        look = thinker.get_image_features if kind == "image" else thinker.get_video_features
        found = look(inputs[pixels], inputs[f"{kind}_grid_thw"])
    for at, embeds in enumerate(found.pooler_output):
        yield embeds, [layer[at] for layer in found.deepstack_features]


def _spans(tokens: Sequence[int], kinds: dict[int, str], items: Sequence[tuple[str, int]]) -> Iterator[dict[str, int]]:
    """Runs of one placeholder each; the items of a kind come in order and fill up one after the other."""
    filled = [0] * len(items)
    at = 0
    while at < len(tokens):
        kind = kinds.get(tokens[at])
        if kind is None:
            at += 1
            continue
        item = next(n for n, (other, size) in enumerate(items) if other == kind and filled[n] < size)
        end = at
        while end < len(tokens) and kinds.get(tokens[end]) == kind and filled[item] + end - at < items[item][1]:
            end += 1
        yield {"item": item, "offset": filled[item], "start": at, "size": end - at}
        filled[item] += end - at
        at = end


def _rope(model: Any, ids: torch.Tensor, inputs: dict[str, Any]) -> torch.Tensor:
    mask = inputs.get("feature_attention_mask")
    positions, _ = model.get_rope_index(
        ids, inputs.get("image_grid_thw"), inputs.get("video_grid_thw"), torch.ones_like(ids),
        inputs.get("use_audio_in_video", False), None if mask is None else mask.sum(-1),
        inputs.get("video_second_per_grid"),
    )  # fmt: skip
    found: torch.Tensor = positions
    return found


def _spoken(reference: Qwen3OmniMoeForConditionalGeneration, inputs: dict[str, Any]) -> dict[str, Value]:
    """As `generate` finds the user's turns."""
    config: Any = reference.config
    ids = inputs["input_ids"][0]
    starts = [at for at, token in enumerate(ids.tolist()) if token == config.im_start_token_id]
    turns = [(start, end, int(ids[start + 1])) for start, end in zip(starts, [*starts[1:], len(ids)], strict=True)]
    rows = torch.tensor([at for start, end, role in turns if role == config.user_token_id for at in range(start, end)])
    spoken: dict[str, Value] = {
        "voice": "Ethan", "rows": from_torch(rows.int()), "options": {"do_sample": False},
        "header": next(start for start, _, role in reversed(turns) if role == config.assistant_token_id),
    }  # fmt: skip
    if {"image_grid_thw", "video_grid_thw", "feature_attention_mask"} & inputs.keys():
        heard = torch.cat((ids[rows], torch.full((9,), config.tts_pad_token_id)))
        # generate does not tell the talker that sound belongs to a video
        apart = {name: value for name, value in inputs.items() if name != "use_audio_in_video"}
        spoken["positions"] = from_torch(_rope(reference.talker, heard[None], apart)[:, 0].float())
    return spoken
