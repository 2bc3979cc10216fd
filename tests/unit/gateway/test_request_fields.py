"""Every field that OpenAI defines is known; each is effective, a no-op as OpenAI has it, or refused by name."""

from typing import Any

import msgspec
import pytest
from openai.types import completion_create_params
from openai.types.audio import speech_create_params
from openai.types.chat import completion_create_params as chat_create_params
from tests.unit.gateway.pipelines import LIMITS, EverythingRequests, SamplingRequests, served

from omnipipe.coordinator.flight import OmniRequest
from omnipipe.errors import ErrorKind, RequestError
from omnipipe.gateway.native.prompt_request import PromptBody
from omnipipe.gateway.openai.chat import chat_order
from omnipipe.gateway.openai.chat_request import AnswerOptions, ChatCompletionRequest
from omnipipe.gateway.openai.completion import completion_order
from omnipipe.gateway.openai.completion_request import CompletionRequest
from omnipipe.gateway.openai.fields import (
    ANSWER_FIELDS,
    CHAT_FIELDS,
    COMPLETION_FIELDS,
    PROMPT_FIELDS,
    SPEECH_FIELDS,
    FieldRules,
)
from omnipipe.gateway.openai.order import Draft
from omnipipe.gateway.openai.parse import BodyParser
from omnipipe.gateway.openai.speech_request import SpeechBody, SpeechOptions
from omnipipe.gateway.served import Served

OURS = {"request_id", "timeout", "stage_params", "events"}
SAMPLING = {"top_k", "min_p", "repetition_penalty", "min_tokens", "ignore_eos", "stop_token_ids", "response_format"}
GUIDED = {"guided_json", "guided_regex", "guided_choice", "guided_grammar"}
STAGES = {
    f"{stage}_{name}"
    for stage in ("thinker", "talker")
    for name in ("do_sample", "temperature", "top_p", "top_k", "repetition_penalty", "max_new_tokens", "seed")
} | {"thinker_min_p", "stage_sampling"}
MEDIA = {
    "images",
    "audios",
    "videos",
    "min_pixels",
    "max_pixels",
    "use_audio_in_video",
    "video_fps",
    "video_max_frames",
}
MEDIA |= {"video_min_pixels", "video_max_pixels", "video_total_pixels"}
SPEECH = {"stream", "language", "temperature", "top_p", "seed", "max_new_tokens"}
OTHERS = OURS | SAMPLING | GUIDED | STAGES | MEDIA | {"chat_template_kwargs"}
"""Extensions, ours and those that other servers have in common. (A chat's response_format is OpenAI's own.)"""

CHAT = BodyParser(ChatCompletionRequest)
COMPLETION = BodyParser(CompletionRequest)


RULES: list[tuple[FieldRules, type[msgspec.Struct]]] = [
    (CHAT_FIELDS, ChatCompletionRequest),
    (COMPLETION_FIELDS, CompletionRequest),
    (ANSWER_FIELDS, AnswerOptions),
    (PROMPT_FIELDS, PromptBody),
    (SPEECH_FIELDS, SpeechOptions),
]


@pytest.mark.parametrize(("rules", "body"), RULES)
def test_a_rule_is_about_a_field_that_there_is(rules: FieldRules, body: type[msgspec.Struct]) -> None:
    assert rules.options | rules.hints <= set(body.__struct_fields__)


def chat(target: Served | None = None, **fields: Any) -> OmniRequest:
    body = {"model": "echo", "messages": [{"role": "user", "content": "hello"}], **fields}
    order = chat_order(CHAT(msgspec.json.encode(body)), target or served(), "req", 0, LIMITS)
    assert not isinstance(order, Draft)
    assert len(order.requests) == 1
    return order.requests[0]


def completion(target: Served | None = None, **fields: Any) -> OmniRequest:
    body = {"model": "echo", "prompt": "hello", **fields}
    return completion_order(COMPLETION(msgspec.json.encode(body)), target or served(), "req", 0, LIMITS).requests[0]


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (ChatCompletionRequest, chat_create_params.CompletionCreateParamsStreaming),
        (CompletionRequest, completion_create_params.CompletionCreateParamsStreaming),
    ],
)
def test_every_field_of_the_installed_sdk_is_known(ours: type, theirs: Any) -> None:
    known = {field.name for field in msgspec.structs.fields(ours)}
    official = set(theirs.__required_keys__ | theirs.__optional_keys__)
    assert official <= known
    assert known - official <= OTHERS


def test_every_field_of_the_sdks_speech_is_known() -> None:
    known = {field.name for field in msgspec.structs.fields(SpeechBody)}
    official = speech_create_params.SpeechCreateParams
    assert set(official.__required_keys__ | official.__optional_keys__) <= known
    assert known - set(official.__required_keys__ | official.__optional_keys__) <= OTHERS | SPEECH


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("temperature", 1),
        ("top_p", 1.0),
        ("frequency_penalty", 0),
        ("presence_penalty", 0.0),
        ("logit_bias", {}),
        ("n", 1),
        ("logprobs", False),
        ("response_format", {"type": "text"}),
        ("tool_choice", "none"),
        ("tool_choice", "auto"),
        ("parallel_tool_calls", False),
        ("function_call", "auto"),
        ("reasoning_effort", "none"),
        ("verbosity", "medium"),
        ("modalities", ["text"]),
        ("store", False),
        ("metadata", {"a": "b"}),
        ("user", "someone"),
        ("safety_identifier", "abc"),
        ("service_tier", "auto"),
        ("service_tier", "default"),
        ("prompt_cache_key", "k"),
        ("prompt_cache_retention", "24h"),
        ("prompt_cache_options", {"mode": "implicit", "ttl": "30m"}),
    ],
)
def test_a_value_that_means_what_happens_anyway_is_accepted(field: str, value: Any) -> None:
    assert chat(None, **{field: value}) == chat()


OPTIONAL = sorted(field.name for field in msgspec.structs.fields(ChatCompletionRequest) if not field.required)


@pytest.mark.parametrize("field", OPTIONAL)
def test_null_is_as_good_as_absent(field: str) -> None:
    assert chat(None, **{field: None}) == chat()


TOOL = {"type": "function", "function": {"name": "f"}}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("temperature", 0.5),
        ("top_p", 0.5),
        ("frequency_penalty", 1),
        ("presence_penalty", -1),
        ("logit_bias", {"1": 2}),
        ("seed", 1),
        ("n", 2),
        ("logprobs", True),
        ("top_logprobs", 2),
        ("response_format", {"type": "json_object"}),
        ("response_format", {"type": "json_schema", "json_schema": {"name": "x", "schema": {}}}),
        ("reasoning_effort", "high"),
        ("verbosity", "low"),
        ("prediction", {"type": "content", "content": "x"}),
        ("tools", [TOOL]),
        ("tool_choice", "required"),
        ("tool_choice", TOOL),
        ("functions", [{"name": "f"}]),
        ("function_call", {"name": "f"}),
        ("web_search_options", {}),
        ("moderation", {"model": "m"}),
        ("store", True),
        ("service_tier", "priority"),
        ("prompt_cache_options", {"mode": "explicit"}),
        ("events", True),
    ],
)
def test_what_would_have_no_effect_is_refused_by_name(field: str, value: Any) -> None:
    with pytest.raises(RequestError) as caught:
        chat(None, **{field: value})
    assert caught.value.kind is ErrorKind.INVALID
    assert caught.value.param == field
    assert f"'{field}'" in caught.value.message


def test_the_refusal_says_what_the_model_does_support() -> None:
    with pytest.raises(RequestError, match="This model supports: max_completion_tokens, max_tokens, stop"):
        chat(seed=1)


def test_what_the_family_honours_reaches_it_under_the_clients_name() -> None:
    asked = {
        "temperature": 0.5,
        "top_p": 1.0,
        "seed": 7,
        "stop": ["a", "b"],
        "max_tokens": 3,
        "logit_bias": {"5": -100},
        "response_format": {"type": "json_object"},
    }
    value = chat(served(requests=SamplingRequests()), **asked).value
    assert value["options"] == asked


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("temperature", 0),
        ("top_p", 0.5),
        ("frequency_penalty", 2),
        ("presence_penalty", -2),
        ("logit_bias", {"7": 100}),
        ("seed", -1),
        ("stop", "x"),
        ("max_tokens", 1),
        ("max_completion_tokens", 1),
        ("logprobs", True),
        ("reasoning_effort", "high"),
        ("verbosity", "low"),
        ("response_format", {"type": "json_object"}),
        ("response_format", {"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "object"}}}),
        (
            "response_format",
            {"type": "json_schema", "json_schema": {"name": "a", "description": "b", "schema": {}, "strict": True}},
        ),
        ("tools", [{"type": "function", "function": {"name": "f"}}]),
        ("top_k", 5),
        ("top_k", -1),
        ("min_p", 0.1),
        ("repetition_penalty", 1.1),
        ("min_tokens", 2),
        ("ignore_eos", True),
        ("stop_token_ids", [1, 2]),
        ("guided_json", {"type": "object"}),
        ("guided_json", '{"type": "object"}'),
        ("guided_regex", "[a-z]+"),
        ("guided_choice", ["a", "b"]),
        ("guided_grammar", "root ::= x"),
        ("chat_template_kwargs", {"enable_thinking": False}),
        ("video_fps", 2.0),
        ("video_max_frames", 8),
        ("max_pixels", 1024),
        ("use_audio_in_video", True),
        ("thinker_temperature", 0.5),
        ("talker_top_k", 50),
        ("talker_do_sample", False),
        ("stage_sampling", {"compose": {"top_k": 3}}),
    ],
)
def test_each_field_that_a_model_honours_reaches_it_as_the_client_wrote_it(field: str, value: Any) -> None:
    assert chat(served(requests=EverythingRequests()), **{field: value}).value["options"] == {field: value}


def test_n_is_the_gateways_own_business() -> None:
    family = EverythingRequests()
    body = {"model": "echo", "messages": [{"role": "user", "content": "hello"}], "n": 3}
    order = chat_order(CHAT(msgspec.json.encode(body)), served(requests=family), "req", 0, LIMITS)
    assert not isinstance(order, Draft)
    assert len(order.requests) == 3
    assert all(request.value["options"] == {} for request in order.requests)


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"top_logprobs": 2}, "top_logprobs"),
        ({"top_logprobs": 2, "logprobs": False}, "top_logprobs"),
        ({"min_tokens": 3, "max_tokens": 2}, "min_tokens"),
        ({"min_tokens": 3, "max_completion_tokens": 2}, "min_tokens"),
        ({"guided_regex": "a", "guided_choice": ["a"]}, "guided_regex"),
        ({"guided_json": {}, "response_format": {"type": "json_object"}}, "guided_json"),
        ({"response_format": {"type": "json_schema", "json_schema": {"name": "x"}}},
         "response_format.json_schema.schema"),
        ({"chat_template_kwargs": {"a": 2**64}}, "chat_template_kwargs.a"),
        ({"guided_json": {"enum": [2**64]}}, "guided_json.enum[0]"),
    ],
)  # fmt: skip
def test_fields_that_contradict_each_other_are_refused(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(RequestError) as caught:
        chat(served(requests=EverythingRequests()), **fields)
    assert caught.value.param == param


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"top_logprobs": 21}, "top_logprobs"),
        ({"stop": ["a"] * 5}, "stop"),
        ({"stop": []}, "stop"),
        ({"logit_bias": {"x": 1}}, "logit_bias"),
        ({"logit_bias": {"1": 101}}, "logit_bias"),
        ({"top_k": -2}, "top_k"),
        ({"min_p": 1.1}, "min_p"),
        ({"repetition_penalty": 0}, "repetition_penalty"),
        ({"guided_choice": []}, "guided_choice"),
        ({"guided_regex": "a" * 20_000}, "guided_regex"),
        ({"guided_grammar": "a" * 300_000}, "guided_grammar"),
        ({"guided_json": "a" * 300_000}, "guided_json"),
        ({"stop_token_ids": [-1]}, "stop_token_ids[0]"),
        ({"reasoning_effort": "huge"}, "reasoning_effort"),
        ({"response_format": {"type": "xml"}}, "response_format.type"),
        ({"response_format": {"type": "json_schema", "json_schema": {"name": "a b", "schema": {}}}},
         "response_format.json_schema.name"),
        ({"tools": []}, "tools"),
        ({"tools": [{"type": "function", "function": {"name": "a b"}}]}, "tools[0].function.name"),
        ({"tool_choice": "always"}, "tool_choice"),
    ],
)  # fmt: skip
def test_values_out_of_range_are_refused_by_name(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(RequestError) as caught:
        chat(served(requests=EverythingRequests()), **fields)
    assert (caught.value.kind, caught.value.param) == (ErrorKind.INVALID, param)


@pytest.mark.parametrize(("field", "instead"), [("functions", "'tools'"), ("function_call", "'tool_choice'")])
def test_what_openai_replaced_is_refused_with_what_replaced_it(field: str, instead: str) -> None:
    value = [{"name": "f"}] if field == "functions" else {"name": "f"}
    with pytest.raises(RequestError, match=f"use {instead}"):
        chat(served(requests=EverythingRequests()), **{field: value})


def test_both_limits_on_tokens_are_one_too_many() -> None:
    with pytest.raises(RequestError, match="not both"):
        chat(max_tokens=1, max_completion_tokens=1)


def test_stream_options_need_a_stream() -> None:
    with pytest.raises(RequestError) as caught:
        chat(stream_options={"include_usage": True})
    assert caught.value.param == "stream_options"
    chat(stream=True, stream_options={"include_usage": True, "include_obfuscation": False})
    with pytest.raises(RequestError) as caught:
        chat(stream=True, stream_options={"include_obfuscation": True})
    assert caught.value.param == "stream_options.include_obfuscation"


@pytest.mark.parametrize(("field", "value"), [("suffix", ""), ("best_of", 1), ("echo", False), ("user", "x")])
def test_a_completions_harmless_fields_are_accepted(field: str, value: Any) -> None:
    assert completion(None, **{field: value}) == completion()


@pytest.mark.parametrize(("field", "value"), [("suffix", "x"), ("best_of", 2), ("logprobs", 0), ("temperature", 0)])
def test_a_completions_other_fields_are_refused_by_name(field: str, value: Any) -> None:
    with pytest.raises(RequestError) as caught:
        completion(None, **{field: value})
    assert caught.value.param == field
