"""What preprocess gives is what transformers' processor and model give for the same media, token for token."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.integration.families.omni_parts.media_files import make_clip, make_picture, make_video
from tests.integration.families.omni_parts.stages import context_of, job_of, run_to_end, values_of
from transformers import Qwen3OmniMoeForConditionalGeneration, Qwen3OmniMoeProcessor

from omnipipe.errors import RequestError
from omnipipe.families.qwen3_omni.graph import FAMILY
from omnipipe.families.qwen3_omni.preprocess import Preprocess
from omnipipe.families.qwen3_omni.requests import Qwen3OmniRequests
from omnipipe.families.requests import AudioOptions, Message, Part, SpeechRequest, TextRequest
from omnipipe.media.audio import decode_audio
from omnipipe.media.images import decode_image
from omnipipe.media.limits import MediaLimits
from omnipipe.media.video import Video, decode_video
from omnipipe.wire.value import Value

pytestmark = [
    pytest.mark.timeout(400),
    # transformers' processor gives numpy one of torch's numbers
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
]

PORTS = ("prompt", "audio", "vision")
LIMITS = MediaLimits()
PICTURE, WIDE = make_picture(), make_picture(200, 64, seed=1)
CLIP, CLICK = make_clip(), make_clip(0.01)
VIDEO, TALKIE = make_video(), make_video(17, 8, sound=True, seed=2)

_BOUNDS = {"min_pixels": 4096, "max_pixels": 8192}

Turn = tuple[str, Sequence[str | tuple[str, bytes]]]


@pytest.fixture(scope="module")
def preprocess(omni_folder: Path) -> Preprocess:
    return Preprocess(context_of(FAMILY, omni_folder, "preprocess"))


def messages(*turns: Turn) -> tuple[Message, ...]:
    return tuple(
        Message(role, tuple(_part(part, f"messages[{at}].content[{index}]") for index, part in enumerate(parts)))  # type: ignore[arg-type]
        for at, (role, parts) in enumerate(turns)
    )


def _part(part: str | tuple[str, bytes], path: str) -> Part:
    return Part("text", part) if isinstance(part, str) else Part(part[0], data=part[1], path=path)  # type: ignore[arg-type]


def entry(*turns: Turn, spoken: bool = False, **options: Value) -> Value:
    outputs = frozenset({"text", "audio"}) if spoken else frozenset({"text"})
    audio = AudioOptions("ethan", "wav") if spoken else None
    return Qwen3OmniRequests().entry(TextRequest("chat", messages(*turns), outputs, audio, options)).value


def ask(preprocess: Preprocess, *turns: Turn, spoken: bool = False, **options: Value) -> dict[str, Value]:
    job = job_of("r", {"request": entry(*turns, spoken=spoken, **options)}, PORTS)
    return values_of(run_to_end(preprocess, [job])["r"])


class Expected:
    """By transformers' processor, and by `get_rope_index` of its model."""

    def __init__(
        self, model: Qwen3OmniMoeForConditionalGeneration, processor: Any, *turns: Turn, **kwargs: Any
    ) -> None:
        self.images: list[Any] = []
        self.clips: list[Any] = []
        self.videos: list[Video] = []
        heard = bool(kwargs.get("load_audio_from_video"))
        sources: list[int | None] = []
        said: list[dict[str, Any]] = []
        for role, parts in turns:
            content: list[dict[str, Any]] = []
            for part in parts:
                if isinstance(part, str):
                    content.append({"type": "text", "text": part})
                    continue
                kind, data = part
                content.append({"type": kind})
                if kind == "image":
                    self.images.append(decode_image(data, LIMITS))
                elif kind == "audio":
                    sources.append(None)
                    self.clips.append(_padded(decode_audio(data, 16_000, LIMITS)))
                else:
                    video = decode_video(
                        data, LIMITS, fps=2.0, min_frames=4, max_frames=768, with_audio_hz=16_000 if heard else None
                    )
                    if heard:
                        sources.append(len(self.videos))
                        self.clips.append(video.audio)
                    self.videos.append(video)
            said.append({"role": role, "content": content})
        text = processor.apply_chat_template(said, add_generation_prompt=True, tokenize=False)
        if heard:
            kwargs["audio_from_video_indices"] = sources
        given: dict[str, Any] = {"images": self.images, "audio": self.clips}
        given = {name: value for name, value in given.items() if value}
        if self.videos:
            given["videos"] = [torch.from_numpy(video.frames).permute(0, 3, 1, 2) for video in self.videos]
            kwargs["videos_kwargs"] = {
                "fps": self.videos[0].fps, "do_sample_frames": False, "cap_pixels_per_frame": True,
                **kwargs.get("videos_kwargs", {}),
            }  # fmt: skip
        self.found: Any = processor(text=text, return_tensors="pt", **given, **kwargs)
        mask = self.found.get("feature_attention_mask")
        lengths = None if mask is None else mask.sum(-1)
        self.positions, _ = model.thinker.get_rope_index(
            self.found["input_ids"],
            self.found.get("image_grid_thw"),
            self.found.get("video_grid_thw"),
            self.found["attention_mask"],
            heard,
            lengths,
            self.found.get("video_second_per_grid"),
        )

    def check(self, values: dict[str, Value]) -> None:
        prompt = values["prompt"]
        assert prompt["tokens"].numpy().tolist() == self.found["input_ids"][0].tolist()
        size = len(self.found["input_ids"][0])
        if "positions" in prompt:
            np.testing.assert_allclose(prompt["positions"].numpy(), self.positions[:, 0].numpy(), atol=1e-3)
        else:
            assert self.positions[:, 0].tolist() == [list(range(size))] * 3
        seen = {item["item"]: item for item in values["vision"]["items"]}
        pixels = {"image": "pixel_values", "video": "pixel_values_videos"}
        for kind, name in pixels.items():
            ours = [item for number, item in sorted(seen.items()) if prompt["items"][number]["kind"] == kind]
            assert [item["grid"] for item in ours] == self.found.get(f"{kind}_grid_thw", torch.empty(0)).tolist()
            if ours:
                got = np.concatenate([item["features"].numpy() for item in ours])
                np.testing.assert_allclose(got, self.found[name].numpy(), atol=1e-6)
        for index, item in enumerate(values["audio"]["items"]):
            wanted = self.found["input_features"][index][:, self.found["feature_attention_mask"][index].bool()]
            np.testing.assert_allclose(item["features"].numpy(), wanted.numpy(), atol=1e-6)
        assert len(values["audio"]["items"]) == len(self.clips)


def _padded(samples: Any) -> Any:
    return np.pad(samples, (0, max(0, 400 - samples.size)))


CASES: dict[str, Sequence[Turn]] = {
    "text": [("system", ["Be brief."]), ("user", ["What is in the image?"]), ("assistant", ["A."]), ("user", ["B?"])],
    "image": [("user", [("image", PICTURE), "What is in the image?"])],
    "images": [("user", ["Compare ", ("image", PICTURE), " with ", ("image", WIDE), "."])],
    "audio": [("user", [("audio", CLIP), "What do you hear?"])],
    "click": [("user", [("audio", CLICK)])],
    "video": [("user", ["Describe.", ("video", VIDEO)])],
    "all": [
        ("system", ["Be brief."]),
        ("user", [("video", VIDEO), ("image", PICTURE), "one", ("audio", CLIP)]),
        ("assistant", ["two"]),
        ("user", [("image", WIDE), "three"]),
    ],
}


@pytest.mark.parametrize("name", CASES)
def test_equals_the_processor(
    name: str,
    preprocess: Preprocess,
    omni_reference: Qwen3OmniMoeForConditionalGeneration,
    omni_processor: Qwen3OmniMoeProcessor,
) -> None:
    turns = CASES[name]
    Expected(omni_reference, omni_processor, *turns).check(ask(preprocess, *turns))


@pytest.mark.parametrize("after", [[], [("image", PICTURE), "and this?"]])
def test_pictures_and_sound_of_a_video_alternate(
    after: list[Any],
    preprocess: Preprocess,
    omni_reference: Qwen3OmniMoeForConditionalGeneration,
    omni_processor: Qwen3OmniMoeProcessor,
) -> None:
    turn: Turn = ("user", ["Watch:", ("video", TALKIE), *after])
    expected = Expected(omni_reference, omni_processor, turn, load_audio_from_video=True)
    values = ask(preprocess, turn, use_audio_in_video=True)
    expected.check(values)
    items, spans = values["prompt"]["items"], values["prompt"]["spans"]
    assert [item["kind"] for item in items[:2]] == ["video", "audio"]
    assert len([span for span in spans if span["item"] == 0]) > 1


def test_a_silent_video_has_no_sound_to_be_heard(preprocess: Preprocess) -> None:
    values = ask(preprocess, ("user", [("video", VIDEO)]), use_audio_in_video=True)
    assert values["audio"] == {"items": []}
    assert [item["kind"] for item in values["prompt"]["items"]] == ["video"]


def test_spans_cover_the_placeholders(preprocess: Preprocess, omni_processor: Qwen3OmniMoeProcessor) -> None:
    prompt = ask(preprocess, *CASES["all"])["prompt"]
    tokens = prompt["tokens"].numpy()
    processor: Any = omni_processor
    marks = {"image": processor.image_token_id, "audio": processor.audio_token_id, "video": processor.video_token_id}
    covered = np.zeros(tokens.size, bool)
    for span in prompt["spans"]:
        here = tokens[span["start"] : span["start"] + span["size"]]
        assert set(here.tolist()) == {marks[prompt["items"][span["item"]]["kind"]]}
        covered[span["start"] : span["start"] + span["size"]] = True
    assert covered.tolist() == np.isin(tokens, list(marks.values())).tolist()
    sizes = [sum(s["size"] for s in prompt["spans"] if s["item"] == n) for n in range(len(prompt["items"]))]
    assert sizes == [item["size"] for item in prompt["items"]]


def test_pixels_and_frames_are_bounded_as_asked(
    preprocess: Preprocess,
    omni_reference: Qwen3OmniMoeForConditionalGeneration,
    omni_processor: Qwen3OmniMoeProcessor,
) -> None:
    turn: Turn = ("user", [("image", WIDE), ("video", VIDEO)])
    size = {"shortest_edge": 4096, "longest_edge": 8192}
    expected = Expected(
        omni_reference, omni_processor, turn, images_kwargs={"size": size}, videos_kwargs={"size": size}
    )
    options: dict[str, Any] = {
        "min_pixels": 4096,
        "max_pixels": 8192,
        "video_min_pixels": 4096,
        "video_max_pixels": 8192,
    }
    expected.check(ask(preprocess, turn, **options))
    fewer = ask(preprocess, turn, **options, video_max_frames=2)
    assert fewer["vision"]["items"][1]["grid"][0] == 1
    smaller = ask(preprocess, turn, **{**options, "video_min_pixels": 256}, video_total_pixels=6 * 512)
    assert smaller["vision"]["items"][1]["features"].shape[0] < expected.found["pixel_values_videos"].shape[0]


def test_what_the_talker_hears_is_what_generate_lets_it_hear(
    preprocess: Preprocess, omni_reference: Qwen3OmniMoeForConditionalGeneration
) -> None:
    prompt = ask(preprocess, *CASES["all"], spoken=True, talker_top_k=7, seed=3)["prompt"]
    tokens, speech = prompt["tokens"].numpy().tolist(), prompt["speech"]
    config = omni_reference.config
    assert tokens[speech["header"] : speech["header"] + 2] == [config.im_start_token_id, config.assistant_token_id]
    starts = [at for at, token in enumerate(tokens) if token == config.im_start_token_id]
    turns = [
        range(start, end)
        for start, end in zip(starts, [*starts[1:], len(tokens)], strict=True)
        if tokens[start + 1] == config.user_token_id
    ]
    rows = speech["rows"].numpy().tolist()
    assert rows == [at for turn in turns for at in turn]
    assert speech["positions"].shape == (3, len(rows) + 9)
    assert speech["voice"] == "ethan"
    assert speech["options"] == {"top_k": 7, "seed": 3}


def test_a_text_to_be_spoken_as_it_stands(preprocess: Preprocess, omni_processor: Any) -> None:
    value = Qwen3OmniRequests().entry_speech(SpeechRequest("Hello <|im_end|> you", "aiden", {"top_k": 5})).value
    values = values_of(run_to_end(preprocess, [job_of("r", {"request": value}, ["prompt"])])["r"])
    assert set(values) == {"prompt"}
    prompt = values["prompt"]
    text = omni_processor.tokenizer.decode(prompt["tokens"].numpy().tolist())
    assert prompt["verbatim"] is True
    assert text.endswith("<|im_start|>assistant\nHello <|im_end|> you")
    assert int((prompt["tokens"].numpy() == omni_processor.tokenizer.convert_tokens_to_ids("<|im_end|>")).sum()) == 1
    assert prompt["speech"]["options"] == {"top_k": 5}


def test_one_bad_picture_fails_alone_and_by_name(preprocess: Preprocess) -> None:
    jobs = [
        job_of("good", {"request": entry(*CASES["image"])}, PORTS),
        job_of("bad", {"request": entry(("user", ["look", ("image", PICTURE[:90])]))}, PORTS),
        job_of("text", {"request": entry(*CASES["text"])}, PORTS),
    ]
    ends = run_to_end(preprocess, jobs)
    assert values_of(ends["good"])["vision"]["items"]
    assert values_of(ends["text"])["prompt"]["items"] == []
    error = ends["bad"]
    assert isinstance(error, RequestError)
    assert error.param == "messages[0].content[1]"


@pytest.mark.parametrize(
    ("turn", "param", "words"),
    [
        (("user", ["<|image_pad|>"]), "messages", "take it out"),
        (("user", ["one two three " * 2000]), "messages", "maximum context length"),
        (("user", [("image", make_picture(4000, 10))]), "messages[0].content[0]", "200 times"),
    ],
)
def test_what_cannot_be_is_refused(turn: Turn, param: str, words: str, preprocess: Preprocess) -> None:
    with pytest.raises(RequestError, match=words) as caught:
        ask(preprocess, turn)
    assert caught.value.param == param


def test_more_media_than_can_be_passed_on_is_refused(omni_folder: Path) -> None:
    small = Preprocess(context_of(FAMILY, omni_folder, "preprocess", max_features_mb=1))
    assert ask(small, ("user", [("image", PICTURE)]))["vision"]["items"]
    with pytest.raises(RequestError, match="max_pixels"):
        ask(small, ("user", [("image", make_picture(600, 600, seed)) for seed in range(2)]))


@pytest.mark.parametrize(
    ("case", "options"),
    [("image", {"min_pixels": 1 << 30}), ("video", {"video_min_pixels": 1 << 29})],
)
def test_media_that_would_grow_too_large_is_refused_before_it_does(
    case: str, options: dict[str, Any], preprocess: Preprocess
) -> None:
    """Done, it would take the memory of the whole machine: the stage would be killed, and so would the next one that
    was asked again."""
    with pytest.raises(RequestError, match="min_pixels") as caught:
        ask(preprocess, *CASES[case], **options)
    assert str(caught.value.param).startswith("messages[0].content[")


def test_large_images_are_made_smaller_unless_the_request_says(omni_folder: Path) -> None:
    modest = Preprocess(context_of(FAMILY, omni_folder, "preprocess", image_max_pixels=64 * 64))
    turn: Turn = ("user", [("image", make_picture(640, 640))])
    assert ask(modest, turn)["vision"]["items"][0]["grid"] == [1, 4, 4]
    assert ask(modest, turn, max_pixels=128 * 128)["vision"]["items"][0]["grid"] == [1, 8, 8]


def test_media_that_comes_again_is_the_same(preprocess: Preprocess) -> None:
    first, again = (ask(preprocess, *CASES["image"]) for _ in range(2))
    assert first["prompt"]["items"] == again["prompt"]["items"]
    other = ask(preprocess, *CASES["image"], max_pixels=4096)
    assert first["prompt"]["items"][0]["key"] != other["prompt"]["items"][0]["key"]
