"""What a client may ask of the qwen3_omni family, and what the preprocess stage is asked."""

from typing import Any

import pytest

from omnipipe.errors import RequestError
from omnipipe.families.omni_parts.asked import Chat, Verbatim, read_asked
from omnipipe.families.qwen3_omni.requests import Qwen3OmniRequests
from omnipipe.families.requests import AudioOptions, Entry, Message, Part, SpeechRequest, TextRequest
from omnipipe.wire.value import Tensor

TEXT = frozenset({"text"})
SPOKEN = frozenset({"text", "audio"})


def user(*parts: Part) -> Message:
    return Message("user", parts)


def ask(*messages: Message, outputs: frozenset[str] = TEXT, audio: AudioOptions | None = None, **options: Any) -> Entry:
    request = TextRequest("chat", messages or (user(Part("text", "hi")),), outputs, audio, options)
    return Qwen3OmniRequests().entry(request)


def chat(entry: Entry) -> Chat:
    asked = read_asked(entry.value)
    assert isinstance(asked, Chat)
    return asked


def test_text_brings_text_alone() -> None:
    entry = ask(user(Part("text", "one "), Part("text", "two")), temperature=0.5, stop=["x"])
    assert entry.inputs == TEXT
    asked = chat(entry)
    assert asked.messages == [{"role": "user", "content": "one two"}]
    assert asked.options == {"temperature": 0.5, "stop": ["x"]}
    assert asked.speech is None
    assert asked.media == []


def test_media_keeps_its_place_its_name_and_its_bytes() -> None:
    entry = ask(
        user(Part("text", "see"), Part("image", data=b"\x89PNG", path="images[0]")),
        Message("assistant", (Part("text", "yes"),)),
        user(Part("audio", data=b"RIFF"), Part("text", "hear")),
        min_pixels=100,
    )
    assert entry.inputs == {"text", "image", "audio"}
    asked = chat(entry)
    assert asked.messages[0]["content"] == [{"type": "text", "text": "see"}, {"type": "image"}]
    assert asked.messages[1]["content"] == "yes"
    assert asked.messages[2]["content"] == [{"type": "audio"}, {"type": "text", "text": "hear"}]
    assert [(medium.kind, bytes(medium.encoded), medium.path) for medium in asked.media] == [
        ("image", b"\x89PNG", "images[0]"),
        ("audio", b"RIFF", "messages[2].content[0]"),
    ]
    assert asked.media_options.min_pixels == 100


@pytest.mark.parametrize(("heard", "inputs"), [(False, {"text", "video"}), (True, {"text", "video", "audio"})])
def test_a_video_whose_sound_is_heard_may_bring_audio(heard: bool, inputs: set[str]) -> None:
    assert ask(user(Part("video", data=b"0")), use_audio_in_video=heard).inputs == inputs


def test_what_is_said_of_a_stage_goes_before_what_is_said_of_the_request() -> None:
    asked = chat(
        ask(
            outputs=SPOKEN,
            audio=AudioOptions("chelsie", "wav"),
            temperature=0.9,
            seed=7,
            max_tokens=10,
            thinker_temperature=0.2,
            thinker_max_new_tokens=5,
            talker_top_k=3,
            stage_sampling={"talker": {"temperature": 0.1, "top_k": 3}, "thinker": {"top_p": 0.5}},
        )
    )
    assert asked.options == {"temperature": 0.2, "top_p": 0.5, "seed": 7, "max_completion_tokens": 5}
    assert asked.speech is not None
    assert asked.speech.voice == "chelsie"
    talker = asked.speech.options
    assert (talker.temperature, talker.top_k, talker.seed) == (0.1, 3, 7)


def test_greedy_by_name() -> None:
    asked = chat(ask(outputs=SPOKEN, thinker_do_sample=False, talker_do_sample=False, talker_seed=1, seed=2))
    assert asked.options == {"temperature": 0.0, "seed": 2}
    assert asked.speech is not None
    assert asked.speech.voice == ""
    assert asked.speech.options.do_sample is False
    assert asked.speech.options.seed == 1


@pytest.mark.parametrize(
    ("options", "param", "words"),
    [
        ({"stage_sampling": {"taker": {}}}, "stage_sampling.taker", "talker"),
        ({"stage_sampling": {"talker": {"temprature": 1}}}, "stage_sampling.talker.temprature", "temperature"),
        ({"stage_sampling": {"talker": {"temperature": 9}}}, "stage_sampling.talker.temperature", "<= 2"),
        ({"stage_sampling": []}, "stage_sampling", "object"),
        ({"stage_sampling": {"talker": {"top_k": 1}}, "talker_top_k": 2}, "stage_sampling.talker.top_k", "differ"),
        ({"talker_temperature": "hot"}, "talker_temperature", "Expected"),
        ({"thinker_max_new_tokens": 0}, "thinker_max_new_tokens", ">= 1"),
        ({"thinker_do_sample": False, "thinker_temperature": 1.0}, "thinker_temperature", "no effect"),
        ({"video_fps": 0}, "video_fps", "> 0"),
        ({"min_pixels": 9, "max_pixels": 8}, "min_pixels", "at most"),
        ({"top_logprobs": 2}, "top_logprobs", "logprobs"),
        ({"min_tokens": 3, "max_tokens": 2}, "min_tokens", "at most"),
        ({"talker_topk": 2}, "talker_topk", "talker_top_k"),
        ({"echo": True}, "echo", "means nothing"),
    ],
)
def test_what_is_wrong_is_named(options: dict[str, Any], param: str, words: str) -> None:
    with pytest.raises(RequestError, match=words) as caught:
        ask(outputs=SPOKEN, **options)
    assert caught.value.param == param


@pytest.mark.parametrize("options", [{"talker_top_k": 2}, {"stage_sampling": {"talker": {"top_k": 2}}}])
def test_nothing_is_said_of_a_talker_that_is_not_asked(options: dict[str, Any]) -> None:
    with pytest.raises(RequestError, match="modalities"):
        ask(**options)


def test_media_without_bytes_is_refused() -> None:
    with pytest.raises(RequestError, match="empty") as caught:
        ask(user(Part("image", path="images[0]")))
    assert caught.value.param == "images[0]"


def test_a_text_to_be_spoken() -> None:
    entry = Qwen3OmniRequests().entry_speech(
        SpeechRequest("Good day.", None, {"instructions": "Slowly.", "temperature": 0.5, "seed": 4})
    )
    assert entry.inputs == TEXT
    asked = read_asked(entry.value)
    assert isinstance(asked, Verbatim)
    assert (asked.text, asked.instructions, asked.speech.voice) == ("Good day.", "Slowly.", "")
    assert (asked.speech.options.temperature, asked.speech.options.seed) == (0.5, 4)


def test_stages_take_no_params_with_a_request() -> None:
    requests = Qwen3OmniRequests()
    requests.check_stage_params("talker", {})
    with pytest.raises(RequestError) as caught:
        requests.check_stage_params("talker", {"top_k": 1})
    assert caught.value.param == "stage_params.talker.top_k"
    with pytest.raises(RequestError, match="talker"):
        requests.check_stage_params("taker", {})


def test_the_stage_looks_again() -> None:
    with pytest.raises(RequestError, match="cannot read"):
        read_asked({"kind": "chat"})
    with pytest.raises(RequestError, match="no bytes"):
        read_asked({"kind": "chat", "messages": [], "media": [{"kind": "image", "data": b"1"}]})
    media = [{"kind": "image", "data": Tensor("u8", (1,), memoryview(b"1"))}]
    assert isinstance(read_asked({"kind": "chat", "messages": [], "media": media}), Chat)
