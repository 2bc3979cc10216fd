"""From a body to what the coordinator is asked: content, modalities, choices, our own extensions."""

import base64
from typing import Any

import msgspec
import pytest
from tests.unit.gateway.pipelines import LIMITS, SamplingRequests, served

from omnipipe.errors import ErrorKind, RequestError
from omnipipe.families.requests import Entry, Message, Part, TextRequest
from omnipipe.gateway.openai.chat import chat_order
from omnipipe.gateway.openai.chat_answer import ChatWriter
from omnipipe.gateway.openai.chat_request import ChatCompletionRequest
from omnipipe.gateway.openai.completion import completion_order
from omnipipe.gateway.openai.completion_answer import CompletionWriter
from omnipipe.gateway.openai.completion_request import CompletionRequest
from omnipipe.gateway.openai.order import Draft, Limits, Order
from omnipipe.gateway.openai.parse import BodyParser
from omnipipe.gateway.served import ModelTable, Served

PNG = base64.b64encode(b"\x89PNG").decode()


class Listening(SamplingRequests):
    """Remembers what it was asked, and takes everything."""

    def __init__(self) -> None:
        self.heard: list[TextRequest] = []

    def entry(self, request: TextRequest) -> Entry:
        self.heard.append(request)
        return super().entry(request)


def chat(target: Served, limits: Limits = LIMITS, **fields: Any) -> Order[ChatWriter]:
    body = {"model": "echo", "messages": [{"role": "user", "content": "hello"}], **fields}
    made = chat_order(BodyParser(ChatCompletionRequest)(msgspec.json.encode(body)), target, "req", 0, limits)
    return made.finish(made.prompt) if isinstance(made, Draft) else made


def completion(target: Served, **fields: Any) -> Order[CompletionWriter]:
    body = {"model": "echo", "prompt": "hello", **fields}
    return completion_order(BodyParser(CompletionRequest)(msgspec.json.encode(body)), target, "req", 0, LIMITS)


def messages_of(*messages: dict[str, Any]) -> tuple[Message, ...]:
    family = Listening()
    chat(served(requests=family), messages=list(messages))
    return family.heard[0].messages


def refused(order: Any, *args: Any, **fields: Any) -> RequestError:
    with pytest.raises(RequestError) as caught:
        order(*args, **fields)
    assert caught.value.kind is ErrorKind.INVALID
    return caught.value


def test_content_is_a_text_or_parts() -> None:
    parts = [
        {"type": "text", "text": "look"},
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}", "detail": "auto"}},
        {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}},
        {"type": "input_audio", "input_audio": {"data": PNG, "format": "wav"}},
        {"type": "video_url", "video_url": {"url": "https://example.com/a.mp4"}},
        {"type": "audio_url", "audio_url": {"url": "file:///a.wav"}},
        {"type": "text", "text": "well?"},
    ]
    system, user = messages_of(
        {"role": "system", "content": "be kind", "name": "boss"}, {"role": "user", "content": parts}
    )
    assert system == Message("system", (Part("text", text="be kind"),), "boss")
    assert user.parts == (
        Part("text", text="look"),
        Part("image", url=f"data:image/png;base64,{PNG}", path="messages[1].content[1].image_url.url"),
        Part("image", url="https://example.com/a.png", path="messages[1].content[2].image_url.url"),
        Part("audio", data=b"\x89PNG", format="wav", path="messages[1].content[3].input_audio.data"),
        Part("video", url="https://example.com/a.mp4", path="messages[1].content[4].video_url.url"),
        Part("audio", url="file:///a.wav", path="messages[1].content[5].audio_url.url"),
        Part("text", text="well?"),
    )


def test_media_wait_to_be_brought_and_text_does_not() -> None:
    body = {"model": "echo", "messages": [{"role": "user", "content": "look"}]}
    family = Listening()
    parse = BodyParser(ChatCompletionRequest)
    target = served(requests=family)
    assert isinstance(chat_order(parse(msgspec.json.encode(body)), target, "req", 0, LIMITS), Order)
    made = chat_order(parse(msgspec.json.encode({**body, "images": [PNG]})), target, "req", 0, LIMITS)
    assert isinstance(made, Draft)
    assert len(family.heard) == 1


def test_media_beside_the_messages_go_before_what_the_last_user_said() -> None:
    family = Listening()
    messages = [
        {"role": "user", "content": "first"},
        {"role": "user", "content": "second"},
        {"role": "assistant", "content": "well"},
    ]
    chat(served(requests=family), messages=messages, images=["https://a/b.png"], audios=[PNG], videos=["data:,x"])
    assert family.heard[0].messages[1].parts == (
        Part("image", url="https://a/b.png", path="images[0]"),
        Part("audio", data=b"\x89PNG", path="audios[0]"),
        Part("video", url="data:,x", path="videos[0]"),
        Part("text", text="second"),
    )


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"images": ["/etc/passwd"]}, "images[0]"),
        ({"audios": ["https://a/b.wav", "!"]}, "audios[1]"),
        ({"images": [PNG], "messages": [{"role": "system", "content": "x"}]}, "messages"),
        ({"stage_sampling": {"nobody": {}}}, "stage_sampling.nobody"),
        ({"stage_sampling": {"compose": {"temperature": 9}}}, "stage_sampling.temperature"),
    ],
)
def test_extensions_for_media_and_stages_are_given_rightly(fields: dict[str, Any], param: str) -> None:
    class Able(Listening):
        options = SamplingRequests.options | {"stage_sampling"}

    assert refused(chat, served(requests=Able()), **fields).param == param


def test_media_and_stage_options_are_refused_by_name_where_they_mean_nothing() -> None:
    for field, value in (("images", [PNG]), ("video_fps", 2), ("talker_top_k", 5), ("stage_sampling", {"compose": {}})):
        assert refused(chat, served(), **{field: value}).param == field


def test_stage_sampling_reaches_the_family_by_the_stages_type() -> None:
    class Able(Listening):
        options = frozenset({"stage_sampling"})

    family = Able()
    asked = {"writer": {"temperature": 0.5, "seed": 3}}
    chat(served(requests=family, stages={"writer": "compose"}), stage_sampling=asked)
    assert family.heard[0].options == {"stage_sampling": {"compose": {"temperature": 0.5, "seed": 3}}}


def test_what_an_assistant_refused_is_part_of_what_was_said() -> None:
    _, assistant, _ = messages_of(
        {"role": "user", "content": "x"},
        {"role": "assistant", "content": [{"type": "refusal", "refusal": "no"}], "refusal": "never"},
        {"role": "user", "content": "y"},
    )
    assert [part.text for part in assistant.parts] == ["no", "never"]


@pytest.mark.parametrize(
    ("message", "param"),
    [
        ({"role": "user", "content": [{"type": "image_url", "image_url": {"url": "/etc/passwd"}}]},
         "messages[0].content[0].image_url.url"),
        ({"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://a/b", "detail": "high"}}]},
         "messages[0].content[0].image_url.detail"),
        ({"role": "user", "content": [{"type": "input_audio", "input_audio": {"data": "ä", "format": "wav"}}]},
         "messages[0].content[0].input_audio.data"),
        ({"role": "user", "content": [{"type": "file", "file": {"file_id": "f"}}]}, "messages[0].content[0]"),
        ({"role": "user", "content": [{"type": "text", "text": "x", "prompt_cache_breakpoint": {"mode": "explicit"}}]},
         "messages[0].content[0].prompt_cache_breakpoint"),
        ({"role": "tool", "content": "x", "tool_call_id": "1"}, "messages[0].role"),
        ({"role": "function", "content": "x", "name": "f"}, "messages[0].role"),
        ({"role": "assistant"}, "messages[0].content"),
        ({"role": "assistant", "audio": {"id": "a"}}, "messages[0].audio"),
        ({"role": "assistant", "function_call": {"name": "f", "arguments": ""}}, "messages[0].function_call"),
        ({"role": "assistant", "tool_calls": []}, "messages[0].tool_calls"),
    ],
)  # fmt: skip
def test_what_no_family_can_be_told_is_refused_by_its_path(message: dict[str, Any], param: str) -> None:
    assert refused(chat, served(requests=Listening()), messages=[message]).param == param


def test_a_part_that_the_family_does_not_take_is_a_400_naming_it() -> None:
    parts = [{"type": "text", "text": "x"}, {"type": "image_url", "image_url": {"url": "https://a/b.png"}}]
    error = refused(chat, served(), messages=[{"role": "user", "content": parts}])
    assert error.param == "messages[0].content[1]"


def test_text_alone_is_the_default_and_audio_brings_its_transcript() -> None:
    voice = {"voice": "alloy", "format": "wav"}
    assert chat(served()).requests[0].outputs == {"text"}
    assert chat(served(), modalities=["text", "audio"], audio=voice).requests[0].outputs == {"text", "audio"}
    assert chat(served(), modalities=["audio"], audio=voice).requests[0].outputs == {"text", "audio"}
    only_audio = served(outputs=("audio",))
    assert chat(only_audio, modalities=["audio"], audio=voice).requests[0].outputs == {"audio"}


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"audio": {"voice": "alloy", "format": "wav"}}, "audio"),
        ({"modalities": ["audio"], "audio": {"voice": "nobody", "format": "wav"}}, "audio.voice"),
        ({"modalities": ["audio"], "audio": {"voice": {"id": "v"}, "format": "wav"}}, "audio.voice"),
        ({"modalities": ["audio"], "audio": {"voice": "alloy", "format": "flac"}}, "audio.format"),
        ({"modalities": ["audio"], "audio": {"voice": "alloy", "format": "wav"}, "stream": True}, "audio.format"),
    ],
)
def test_audio_is_asked_for_rightly(fields: dict[str, Any], param: str) -> None:
    assert refused(chat, served(requests=Listening()), **fields).param == param


def test_a_voice_and_a_format_need_not_be_chosen() -> None:
    family = Listening()
    for asked in (None, {}, {"voice": "default"}, {"voice": "alloy"}, {"voice": "Alloy"}):
        chat(served(requests=family), modalities=["text", "audio"], audio=asked)
    assert [heard.audio and heard.audio.voice for heard in family.heard] == [None, None, None, "alloy", "alloy"]


def test_a_modality_that_the_pipeline_lacks_is_named() -> None:
    error = refused(chat, served(outputs=("text",)), modalities=["audio"], audio={"voice": "alloy", "format": "wav"})
    assert (error.param, error.message) == (
        "modalities",
        "The model `echo` does not answer with audio. It answers with: text.",
    )
    assert refused(chat, served(outputs=("audio",))).param == "modalities"
    assert refused(completion, served(outputs=("audio",))).param == "model"


def test_n_choices_are_n_requests_with_seeds_of_their_own() -> None:
    order = chat(served(requests=SamplingRequests()), n=3, seed=2**63 - 1)
    assert [request.request_id for request in order.requests] == ["req", "req.1", "req.2"]
    assert [request.value["options"]["seed"] for request in order.requests] == [2**63 - 1, -(2**63), -(2**63) + 1]


def test_prompts_times_n_are_bounded() -> None:
    order = completion(served(requests=SamplingRequests()), prompt=["a", "b"], n=2)
    assert [request.value["said"] for request in order.requests] == ["a", "a", "b", "b"]
    assert refused(completion, served(requests=SamplingRequests()), prompt=["a"] * 9, n=2).param == "n"
    assert refused(completion, served(), prompt=["a"] * 17).param == "prompt"


@pytest.mark.parametrize("prompt", [[1, 2], [[1], [2]], ["a", 1]])
def test_tokens_for_a_prompt_are_refused(prompt: Any) -> None:
    assert refused(completion, served(), prompt=prompt).param == "prompt"


def test_our_extensions_reach_the_coordinator() -> None:
    limits = Limits(max_choices=1, events=True)
    params = {"compose": {"chunks": 3}}
    request = chat(served(), limits, stage_params=params, timeout=2.5, events=True).requests[0]
    assert (request.stage_params, request.timeout_s, request.events) == (params, 2.5, True)


@pytest.mark.parametrize(
    ("params", "param"),
    [
        ({"nobody": {}}, "stage_params.nobody"),
        ({"compose": {"chunks": "x"}}, "stage_params.compose.chunks"),
        ({"compose": {"chunks": 2**70}}, "stage_params.compose.chunks"),
        ({"compose": {"bogus": 1}}, "stage_params.compose.bogus"),
    ],
)
def test_stage_params_are_checked_before_anything_runs(params: dict[str, Any], param: str) -> None:
    assert refused(chat, served(), stage_params=params).param == param


def test_stage_params_are_named_as_the_client_named_the_stage() -> None:
    target = served(stages={"writer": "compose"})
    assert refused(chat, target, stage_params={"writer": {"bogus": 1}}).param == "stage_params.writer.bogus"


def test_stage_params_are_not_nested_without_end() -> None:
    deep: Any = 1
    for _ in range(40):
        deep = [deep]
    error = refused(chat, served(requests=SamplingRequests()), stage_params={"compose": {"a": deep}})
    assert (error.param or "").startswith("stage_params.compose.a[0]")


def test_two_pipelines_cannot_share_a_model_name() -> None:
    with pytest.raises(ValueError, match="two pipelines serve the model 'echo': a and b"):
        ModelTable([served("a", "echo"), served("b", "echo")])


def test_an_unknown_model_is_openais_404() -> None:
    with pytest.raises(RequestError) as caught:
        ModelTable([served()]).find("gpt-x")
    error = caught.value
    assert (error.kind, error.code, error.message) == (
        ErrorKind.NOT_FOUND,
        "model_not_found",
        "The model `gpt-x` does not exist or you do not have access to it.",
    )
