"""Prompt, text, codes and waveform are what transformers' Qwen2.5-Omni gives, greedily, alone and together."""

import functools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.integration.families.omni_parts.duet import Duet, Heard, duet_of
from tests.integration.families.omni_parts.stages import context_of, job_of, run_to_end, values_of
from tests.integration.families.qwen2_5_omni.older_model import END, PAD
from tests.integration.families.qwen3_omni.test_preprocess_parity import CASES, CLIP, TALKIE, VIDEO, Expected, Turn

from omnipipe.families.qwen2_5_omni.encoders import AudioEncoder, VisionEncoder
from omnipipe.families.qwen2_5_omni.graph import FAMILY
from omnipipe.families.qwen2_5_omni.preprocess import Preprocess
from omnipipe.families.qwen2_5_omni.requests import Qwen25OmniRequests
from omnipipe.families.qwen2_5_omni.talker import Talker
from omnipipe.families.qwen2_5_omni.thinker import Thinker
from omnipipe.families.requests import AudioOptions, Message, Part, SpeechRequest, TextRequest
from omnipipe.media.limits import MediaLimits
from omnipipe.media.video import decode_video
from omnipipe.wire.value import Value

pytestmark = [
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),  # generate's own, about its own arguments
]

TEXT, CODES = 20, 30
PENALTY = 1.0
CALL = '<tool_call>{"name": "f", "arguments": {}}</tool_call>'
TURNS: dict[str, Sequence[Turn]] = {
    **CASES,
    "talkie": [("user", ["Watch:", ("video", TALKIE), "and say."])],
    "talkie and more": [("user", [("video", TALKIE), "Now."]), ("assistant", ["two"]), ("user", [("audio", CLIP)])],
    "fast": [("user", [("video", VIDEO), "What?"])],
}
OPTIONS: dict[str, dict[str, Value]] = {
    "talkie": {"use_audio_in_video": True},
    "talkie and more": {"use_audio_in_video": True},
    "fast": {"video_fps": 3.0},
}


@dataclass
class Stages:
    preprocess: Preprocess
    audio: AudioEncoder
    vision: VisionEncoder

    def values(self, asked: Value) -> dict[str, Value]:
        """The thinker's inputs."""
        made = values_of(
            run_to_end(self.preprocess, [job_of("r", {"request": asked}, ("prompt", "audio", "vision"))])["r"]
        )
        given = {"prompt": made["prompt"]}
        for name, encoder in (("audio", self.audio), ("vision", self.vision)):
            if name in made and made[name]["items"]:
                job = job_of("r", {name: made[name]}, ("embeds",))
                given[name] = values_of(run_to_end(encoder, [job])["r"])["embeds"]
        return given


@pytest.fixture(scope="module")
def stages(older_folder: Path) -> Stages:
    return Stages(
        Preprocess(context_of(FAMILY, older_folder, "preprocess")),
        AudioEncoder(context_of(FAMILY, older_folder, "audio-encoder")),
        VisionEncoder(context_of(FAMILY, older_folder, "vision-encoder")),
    )


def asked(*turns: Turn, **options: Value) -> Value:
    messages = tuple(
        Message(role, tuple(_part(part, f"messages[{at}].content[{n}]") for n, part in enumerate(parts)))  # type: ignore[arg-type]
        for at, (role, parts) in enumerate(turns)
    )
    given = {
        "temperature": 0.0, "max_tokens": TEXT, "talker_do_sample": False, "talker_max_new_tokens": CODES,
        "talker_repetition_penalty": PENALTY, **options,
    }  # fmt: skip
    request = TextRequest("chat", messages, frozenset({"text", "audio"}), AudioOptions("ethan", "wav"), given)
    return Qwen25OmniRequests().entry(request).value


def _part(part: str | tuple[str, bytes], path: str) -> Part:
    return Part("text", part) if isinstance(part, str) else Part(part[0], data=part[1], path=path)  # type: ignore[arg-type]


def expected_of(name: str, reference: Any, processor: Any) -> Expected:
    options: dict[str, Any] = {"load_audio_from_video": True} if name.startswith("talkie") else {}
    return Expected(reference, processor, *TURNS[name], **options)


def _told_of_its_mask(forward: Any) -> Any:
    """generate leaves out a mask that masks nothing, and the talker takes that for a request to leave out the marks of
    the voice and of the first code, and the positions of pictures. With padding beside it, it has them."""

    @functools.wraps(forward)
    def talk(*args: Any, **kwargs: Any) -> Any:
        if kwargs.get("attention_mask") is None:
            given = kwargs["input_ids"] if kwargs.get("inputs_embeds") is None else kwargs["inputs_embeds"]
            size = kwargs["past_key_values"].get_seq_length() + given.shape[1]
            kwargs["attention_mask"] = torch.ones((1, size), dtype=torch.long)
        return forward(*args, **kwargs)

    return talk


def generated(reference: Any, inputs: dict[str, Any], **options: Any) -> tuple[list[int], list[int]]:
    """Text and codes."""
    caught: list[torch.Tensor] = []

    def decode(codes: torch.Tensor, **_: Any) -> torch.Tensor:
        caught.append(codes)
        return torch.zeros(1)

    # The talker takes no pictures, and generate hands them to it unless told whom they are for.
    inputs = {f"thinker_{name}" if name.startswith("pixel_values") else name: value for name, value in inputs.items()}
    kept, reference.token2wav.forward = reference.token2wav.forward, decode
    talk, reference.talker.forward = reference.talker.forward, _told_of_its_mask(reference.talker.forward)
    try:
        sequences, _ = reference.generate(
            **inputs, speaker="Ethan", thinker_max_new_tokens=TEXT, talker_max_new_tokens=CODES,
            talker_do_sample=False, talker_repetition_penalty=PENALTY, talker_eos_token_id=[PAD, END],
            thinker_do_sample=False, thinker_eos_token_id=reference.config.eos_token_id, **options,
        )  # fmt: skip
    finally:
        reference.token2wav.forward, reference.talker.forward = kept, talk
    return sequences[0, inputs["input_ids"].shape[1] :].tolist(), caught[0][0].tolist()


@pytest.mark.parametrize("name", [name for name in TURNS if name != "fast"])
def test_prompts_equal_the_processor(name: str, stages: Stages, older_reference: Any, older_processor: Any) -> None:
    request = asked(*TURNS[name], **OPTIONS.get(name, {}))
    job = job_of("r", {"request": request}, ("prompt", "audio", "vision"))
    expected_of(name, older_reference, older_processor).check(values_of(run_to_end(stages.preprocess, [job])["r"]))


class Agreed:
    """What each conversation should come to."""

    def __init__(self, reference: Any, processor: Any) -> None:
        self._processor = processor
        self.text: dict[str, list[int]] = {}
        self.codes: dict[str, list[int]] = {}
        for name in TURNS:
            if name == "fast":
                continue
            inputs = dict(expected_of(name, reference, processor).found)
            options = {"use_audio_in_video": True} if name.startswith("talkie") else {}
            self.text[name], self.codes[name] = generated(reference, inputs, **options)

    def check(self, name: str, heard: Heard) -> None:
        assert heard.error is None
        assert heard.text == self._processor.tokenizer.decode(self.text[name], skip_special_tokens=True), name
        assert list[Any](heard.codes) == self.codes[name], name
        assert heard.codes_ended


@pytest.fixture(scope="module")
def agreed(older_reference: Any, older_processor: Any) -> Agreed:
    return Agreed(older_reference, older_processor)


def ask(duet: Duet, name: str, stages: Stages) -> Heard:
    return duet.ask(name, stages.values(asked(*TURNS[name], **OPTIONS.get(name, {}))))


def test_text_and_codes_equal_generate(agreed: Agreed, stages: Stages, older_folder: Path) -> None:
    assert len({tuple(codes) for codes in agreed.codes.values()}) == len(agreed.codes), "these conversations tell apart"
    with duet_of(older_folder, (Thinker, Talker)) as duet:
        for name in agreed.text:
            heard = ask(duet, name, stages)
            duet.run()
            agreed.check(name, heard)
        together = {name: ask(duet, name, stages) for name in agreed.text}
        duet.run()
        for name, heard in together.items():
            agreed.check(name, heard)
        duet.check_idle()


def test_prompts_in_slices(agreed: Agreed, stages: Stages, older_folder: Path) -> None:
    with duet_of(older_folder, (Thinker, Talker), thinker={"step_tokens": 32}, talker={"step_tokens": 32}) as duet:
        together = {name: ask(duet, name, stages) for name in agreed.text}
        duet.run()
        for name, heard in together.items():
            agreed.check(name, heard)


def test_a_text_is_read_as_if_it_had_been_said(
    stages: Stages, older_folder: Path, older_reference: Any, older_processor: Any
) -> None:
    """The codes are those of an answer of these very words."""
    text = "one two three"
    request = (
        Qwen25OmniRequests().entry_speech(SpeechRequest(text, "ethan", {"seed": 1, "max_new_tokens": CODES})).value
    )
    values = stages.values(request)
    values["prompt"]["speech"]["options"] = {
        "do_sample": False, "repetition_penalty": PENALTY, "max_new_tokens": CODES,
    }  # fmt: skip
    with duet_of(older_folder, (Thinker, Talker)) as duet:
        heard = duet.ask("a", values)
        duet.run()
    words = older_processor.tokenizer(text)["input_ids"]
    tokens = values["prompt"]["tokens"].numpy().tolist()
    assert tokens[-len(words) :] == words
    ids = torch.tensor([tokens[: -len(words)]])
    forced = [*words, older_reference.config.eos_token_id]

    def only(batch: int, sofar: torch.Tensor) -> list[int]:
        return [forced[len(sofar) - ids.shape[1]]]

    inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    said, codes = generated(older_reference, inputs, thinker_prefix_allowed_tokens_fn=only)
    assert said == forced
    assert (heard.text, heard.error) == ("", None)
    assert list[Any](heard.codes) == codes


def test_nothing_to_say_is_silence(stages: Stages, older_folder: Path, older_processor: Any) -> None:
    bias = {str(older_processor.tokenizer.eos_token_id): 100.0}
    values = stages.values(asked(*CASES["image"], logit_bias=bias))
    with duet_of(older_folder, (Thinker, Talker)) as duet:
        heard = duet.ask("a", values)
        duet.run()
        duet.check_idle()
    assert (heard.text, heard.codes, heard.codes_ended) == ("", [], True)


def test_calls_are_not_spoken(stages: Stages, older_folder: Path) -> None:
    tools = [{"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}]
    values = stages.values(asked(*CASES["text"], tools=tools, guided_regex=re.escape(CALL), max_tokens=200))
    with duet_of(older_folder, (Thinker, Talker)) as duet:
        heard = duet.ask("a", values)
        duet.run()
        duet.check_idle()
    assert heard.meta is not None and heard.meta["finish_reason"] == "tool_calls"
    assert (heard.text, heard.codes, heard.codes_ended) == ("", [], True)


def test_frames_between_seconds_have_the_positions_of_the_model(stages: Stages, older_reference: Any) -> None:
    """Three frames a second fall on no whole numbers: they are cut off as there."""
    job = job_of("r", {"request": asked(*TURNS["fast"], **OPTIONS["fast"])}, ("prompt", "audio", "vision"))
    values = values_of(run_to_end(stages.preprocess, [job])["r"])
    video = decode_video(VIDEO, MediaLimits(), fps=3.0, min_frames=4, max_frames=96, multiple=2)
    ids = torch.tensor(values["prompt"]["tokens"].numpy()[None].astype(np.int64))
    grid = torch.tensor([values["vision"]["items"][0]["grid"]])
    positions, _ = older_reference.thinker.get_rope_index(
        ids, None, grid, torch.ones_like(ids), False, None, torch.tensor([2 / video.fps])
    )
    assert values["prompt"]["positions"].numpy().tolist() == positions[:, 0].float().tolist()
