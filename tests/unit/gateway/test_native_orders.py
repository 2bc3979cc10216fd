"""From the bodies of POST /generate and POST /v1/audio/speech to what the coordinator is asked."""

import json
from typing import Any

import msgspec
import pytest
from tests.unit.gateway.pipelines import LIMITS, EverythingRequests, SamplingRequests, served

from omnipipe.errors import ErrorKind, RequestError
from omnipipe.families.requests import Capability, Entry, SpeechRequest
from omnipipe.gateway.native.form import Form, FormFile
from omnipipe.gateway.native.form_order import form_order
from omnipipe.gateway.native.form_request import form_body
from omnipipe.gateway.native.lines import LinesWriter
from omnipipe.gateway.native.prompt_order import prompt_order
from omnipipe.gateway.native.prompt_request import PromptBody
from omnipipe.gateway.openai.order import Draft, Order
from omnipipe.gateway.openai.parse import BodyParser
from omnipipe.gateway.openai.speech import SpeechOrder, speech_order
from omnipipe.gateway.openai.speech_request import SpeechBody
from omnipipe.gateway.served import Served

PNG = b"\x89PNG\r\n\x1a\n"


class Speaking(SamplingRequests):
    """A family that only speaks."""

    capabilities: frozenset[Capability] = frozenset({"speech"})
    speech_options = frozenset({"instructions", "temperature", "max_new_tokens"})
    speech_chars = 20

    def __init__(self) -> None:
        self.heard: list[SpeechRequest] = []

    def entry_speech(self, request: SpeechRequest) -> Entry:
        self.heard.append(request)
        return Entry({"text": request.input}, frozenset({"text"}))


def form(target: Served, *files: bytes, **fields: Any) -> Order[LinesWriter]:
    fields = {name: value if isinstance(value, str) else json.dumps(value) for name, value in fields.items()}
    made = form_order(
        form_body(Form(fields, [FormFile("files", "f", file) for file in files])), target, "req", 0, LIMITS
    )
    return made.finish(made.prompt) if isinstance(made, Draft) else made


def prompt(target: Served, **fields: Any) -> Any:
    body = BodyParser(PromptBody)(msgspec.json.encode({"prompt": "x", **fields}))
    return prompt_order(body, target, "req", 0, LIMITS)


def speech(target: Served, **fields: Any) -> SpeechOrder:
    body = BodyParser(SpeechBody)(msgspec.json.encode({"input": "hello", **fields}))
    return speech_order(body, target, "req", 0, LIMITS)


def refused(order: Any, *args: Any, **fields: Any) -> RequestError:
    with pytest.raises(RequestError) as caught:
        order(*args, **fields)
    assert caught.value.kind is ErrorKind.INVALID
    return caught.value


def test_a_json_prompt_for_a_model_that_does_not_complete_is_told_what_does() -> None:
    class Talking(EverythingRequests):
        capabilities = frozenset[Capability]({"chat"})

    error = refused(prompt, served(requests=Talking()))
    assert error.message == (
        "The model `echo` is not a completion model and thus not supported in the /generate (JSON) endpoint. Did you "
        "mean to use /generate with a form or /v1/chat/completions?"
    )


def test_a_form_is_one_user_message_with_its_files_first() -> None:
    family = EverythingRequests()
    order = form(served(requests=family), PNG, text="what?", output_modalities="text,audio")
    (request,) = order.requests
    (heard,) = family.heard
    assert request.outputs == {"text", "audio"}
    assert order.stream
    assert [(part["type"], part["path"]) for part in request.value["messages"][0]["parts"]] == [
        ("image", "files[0]"),
        ("text", ""),
    ]
    assert request.value["kind"] == "chat"
    assert heard is not None


def test_a_forms_options_reach_the_family_under_its_own_names() -> None:
    family = EverythingRequests()
    asked = {"voice": "alloy", "max_output_tokens": 5, "temperature": 0.5, "talker_top_k": 3}
    (request,) = form(
        served(requests=family), text="x", output_modalities="audio", streaming="false", model_kwargs=asked
    ).requests
    options = {"max_completion_tokens": 5, "temperature": 0.5, "talker_top_k": 3}
    assert request.value["options"] == options
    assert request.value["audio"] == {"voice": "alloy", "format": "pcm16"}
    assert request.outputs == {"audio"}


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"output_modalities": "image"}, "output_modalities"),
        ({"model_kwargs": {"temperature": 0.5}}, "model_kwargs.temperature"),
        ({"model_kwargs": {"voice": "alloy"}}, "model_kwargs.voice"),
        ({"model_kwargs": {"voice": "nobody"}, "output_modalities": "audio"}, "model_kwargs.voice"),
        ({"model_kwargs": {"instructions": "gently"}}, "model_kwargs.instructions"),
        ({"model_kwargs": {"max_output_tokens": 1, "max_tokens": 2}}, "model_kwargs.max_output_tokens"),
        ({"model_kwargs": {"stage_params": {"nobody": {}}}}, "stage_params.nobody"),
        ({"model_kwargs": {"events": True}}, "events"),
    ],
)
def test_what_a_model_does_not_do_is_refused_by_its_place(fields: dict[str, Any], param: str) -> None:
    assert refused(form, served(), text="x", **fields).param == param


def test_a_file_of_a_kind_that_the_model_does_not_take_is_named() -> None:
    error = refused(form, served(), PNG, text="x")
    assert (error.param, error.message) == ("files[0]", "The model `echo` takes text; 'files[0]' is image.")


def test_a_model_that_only_speaks_says_the_text() -> None:
    family = Speaking()
    asked = {"voice": "alloy", "instructions": "gently", "max_output_tokens": 9}
    form(served(requests=family), text="say this", output_modalities="audio", model_kwargs=asked)
    assert family.heard == [SpeechRequest("say this", "alloy", {"instructions": "gently", "max_new_tokens": 9})]
    audio = {"output_modalities": "audio"}
    target = served(requests=Speaking())
    assert refused(form, target, text="x").param == "model"
    assert refused(form, target, text=" ", **audio).param == "text"
    assert refused(form, target, text="too long " * 5, **audio).param == "text"
    assert refused(form, target, PNG, **audio).param == "files[0]"
    assert refused(form, target, text="x", **audio, model_kwargs={"stop": "x"}).param == "model_kwargs.stop"
    assert refused(form, target, text="x", **audio, model_kwargs={"top_p": 0.5}).param == "model_kwargs.top_p"


def test_a_prompt_is_a_completion_and_asks_for_the_tokens_ids() -> None:
    family = EverythingRequests()
    (request,) = prompt(served(requests=family), prompt=[1, 2], max_tokens=3, top_k=5).requests
    assert request.value["kind"] == "completion"
    assert request.value["tokens"] == (1, 2)
    assert request.value["options"] == {"max_tokens": 3, "top_k": 5, "logprobs": 0}


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"prompt": [1]}, "prompt"),
        ({"max_nfe": 3}, "max_nfe"),
        ({"stream": True, "stream_mode": "denoise"}, "stream_mode"),
        ({"stream_mode": "block_append"}, "stream_mode"),
        ({"seed": 3}, "seed"),
    ],
)
def test_what_a_model_does_not_do_with_a_prompt_is_named(fields: dict[str, Any], param: str) -> None:
    assert refused(prompt, served(), **fields).param == param
    assert refused(prompt, served(requests=Speaking())).param == "model"


def test_a_text_is_spoken_in_parts_of_one_request() -> None:
    family = Speaking()
    order = speech(served(requests=family), input="One two three. Four five six.", voice="default", temperature=0.5)
    assert [request.request_id for request in order.requests] == ["req", "req.1"]
    assert family.heard == [
        SpeechRequest("One two three.", None, {"temperature": 0.5}),
        SpeechRequest("Four five six.", None, {"temperature": 0.5}),
    ]
    assert all(request.outputs == {"audio"} for request in order.requests)
    assert (order.format, order.speed) == ("mp3", 1.0)


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"input": " \n"}, "input"),
        ({"input": ""}, "input"),
        ({"input": "x" * 40_000}, "input"),
        ({"input": "x" * 5000, "stream": False}, "input"),
        ({"voice": "nobody"}, "voice"),
        ({"voice": {"id": "v"}}, "voice"),
        ({"response_format": "opus"}, "response_format"),
        ({"response_format": "ogg"}, "response_format"),
        ({"speed": 5}, "speed"),
        ({"language": "Swiss German"}, "language"),
        ({"stream": False, "stream_format": "sse"}, "stream_format"),
        ({"ref_audio": "x"}, "ref_audio"),
    ],
)
def test_speech_is_asked_for_rightly(fields: dict[str, Any], param: str) -> None:
    assert refused(speech, served(requests=Speaking()), **fields).param == param


def test_speech_is_for_models_that_speak() -> None:
    assert refused(speech, served(requests=SamplingRequests())).param == "model"
    assert refused(speech, served(requests=Speaking(), outputs=("text",))).param == "model"
