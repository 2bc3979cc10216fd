"""The official Python SDK against what a language model answers with: tools, schemas, thoughts, logprobs, vectors."""

import json
from collections.abc import Sequence
from typing import Any

import httpx
import numpy as np
import openai
import pytest
from openai import AsyncOpenAI, pydantic_function_tool
from openai.types.chat import ChatCompletionMessageParam
from pydantic import BaseModel
from tests.integration.gateway.rich import CALL_WEATHER, OUTPUTS, RichRequests, rich_script
from tests.integration.gateway.serving import fake_served, serving

from omnipipe.gateway.served import Served

HELLO: Sequence[ChatCompletionMessageParam] = [{"role": "user", "content": "hello"}]


class Weather(BaseModel):
    """The weather somewhere."""

    city: str


class Person(BaseModel):
    name: str
    age: int


TOOL = pydantic_function_tool(Weather, name="weather")


def rich() -> Served:
    return fake_served(rich_script, "rich", outputs=OUTPUTS, requests=RichRequests())[0]


async def test_a_conversation_with_tools_goes_all_the_way_round() -> None:
    async with serving([rich()]) as running, running.openai() as client:
        first = await client.chat.completions.parse(model="rich", messages=HELLO, tools=[TOOL])
        choice = first.choices[0]
        assert (choice.finish_reason, choice.message.content) == ("tool_calls", None)
        calls = choice.message.tool_calls or []
        assert [call.function.parsed_arguments for call in calls] == [Weather(city="Bern")] * 2
        said: list[Any] = [*HELLO, choice.message]  # as the SDK's own examples send it back
        said += [{"role": "tool", "tool_call_id": call.id, "content": "sunny"} for call in calls]
        second = await client.chat.completions.create(model="rich", messages=said, tools=[TOOL])
        assert second.choices[0].message.content == "Hello there"
        with pytest.raises(openai.BadRequestError, match="did not have response messages: call_1") as caught:
            await client.chat.completions.create(model="rich", messages=said[:-1], tools=[TOOL])
        assert caught.value.param == "messages[1]"


async def test_the_stream_helper_follows_calls_of_tools() -> None:
    async with (
        serving([rich()]) as running,
        running.openai() as client,
        client.chat.completions.stream(
            model="rich",
            messages=HELLO,
            tools=[TOOL],
            parallel_tool_calls=False,
            stream_options={"include_usage": True},
        ) as stream,
    ):
        deltas = [
            event.arguments_delta async for event in stream if event.type == "tool_calls.function.arguments.delta"
        ]
        final = await stream.get_final_completion()
    assert "".join(deltas) == CALL_WEATHER
    (call,) = final.choices[0].message.tool_calls or []
    assert (call.id, call.function.name, call.function.parsed_arguments) == ("call_0", "weather", Weather(city="Bern"))
    assert final.choices[0].finish_reason == "tool_calls"
    assert final.usage is not None
    assert final.usage.prompt_tokens_details is not None
    assert final.usage.prompt_tokens_details.cached_tokens == 4
    assert final.usage.completion_tokens_details is not None
    assert final.usage.completion_tokens_details.reasoning_tokens == 2


async def test_what_the_stream_helper_added_up_can_be_sent_back() -> None:
    async with serving([rich()]) as running, running.openai() as client:
        async with client.chat.completions.stream(model="rich", messages=HELLO, tools=[TOOL]) as stream:
            message = (await stream.get_final_completion()).choices[0].message
        said: list[Any] = [*HELLO, message]
        said += [{"role": "tool", "tool_call_id": call.id, "content": "sunny"} for call in message.tool_calls or []]
        answer = await client.chat.completions.create(model="rich", messages=said, tools=[TOOL])
        assert answer.choices[0].message.content == "Hello there"


async def test_a_schema_is_parsed_whole_and_streamed() -> None:
    async with serving([rich()]) as running, running.openai() as client:
        whole = await client.chat.completions.parse(model="rich", messages=HELLO, response_format=Person)
        assert whole.choices[0].message.parsed == Person(name="Ada", age=36)
        async with client.chat.completions.stream(model="rich", messages=HELLO, response_format=Person) as stream:
            kinds = {event.type async for event in stream}
            final = await stream.get_final_completion()
        assert final.choices[0].message.parsed == Person(name="Ada", age=36)
        assert {"content.delta", "content.done", "chunk"} <= kinds


async def test_logprobs_come_whole_and_streamed() -> None:
    async with serving([rich()]) as running, running.openai() as client:
        answer = await client.chat.completions.create(model="rich", messages=HELLO, logprobs=True, top_logprobs=2)
        logprobs = answer.choices[0].logprobs
        assert logprobs is not None
        assert [token.token for token in logprobs.content or []] == ["Hé", "llo"]
        async with client.chat.completions.stream(
            model="rich", messages=HELLO, logprobs=True, top_logprobs=2
        ) as stream:
            final = await stream.get_final_completion()
        assert final.choices[0].logprobs is not None
        assert final.choices[0].logprobs.content == logprobs.content
        legacy = await client.completions.create(model="rich", prompt=[1, 2], logprobs=2)
        assert legacy.choices[0].logprobs is not None
        assert legacy.choices[0].logprobs.text_offset == [0, 2]
        assert (legacy.choices[0].logprobs.top_logprobs or [])[1] == {"llo": -0.25, "x": -2.0}


async def test_thoughts_are_an_extra_field() -> None:
    async with serving([rich()]) as running, running.openai() as client:
        answer = await client.chat.completions.create(model="rich", messages=HELLO, reasoning_effort="low")
        assert (answer.choices[0].message.model_extra or {})["reasoning_content"] == "Hm, well."
        stream = await client.chat.completions.create(model="rich", messages=HELLO, reasoning_effort="low", stream=True)
        deltas = [choice.delta async for chunk in stream for choice in chunk.choices]
        assert "".join((delta.model_extra or {}).get("reasoning_content", "") for delta in deltas) == "Hm, well."
        assert "".join(delta.content or "" for delta in deltas) == "Hello there"


async def test_several_choices_and_the_best_of_several() -> None:
    async with serving([rich()]) as running, running.openai() as client:
        answer = await client.completions.create(model="rich", prompt=["a", "b"], n=2, best_of=3)
        assert [choice.index for choice in answer.choices] == [0, 1, 2, 3]
        texts = dict.fromkeys(range(4), "")
        async for chunk in await client.completions.create(model="rich", prompt=["a", "b"], n=2, stream=True):
            for choice in chunk.choices:
                texts[choice.index] += choice.text
        assert set(texts.values()) == {"Hello there"}


@pytest.mark.parametrize("given", ["a", ["a", "b"], [1, 2], [[1], [2]]])
async def test_embeddings_come_as_numbers_and_as_base64(given: Any) -> None:
    count = 2 if isinstance(given, list) and not isinstance(given[0], int) else 1
    async with serving([rich()]) as running, running.openai() as client:
        usual = await client.embeddings.create(model="rich", input=given)  # the SDK asks for base64 and decodes it
        numbers = await client.embeddings.create(model="rich", input=given, encoding_format="float", dimensions=5)
    assert [item.embedding for item in usual.data] == [[index + 0.5] * 3 for index in range(count)]
    assert [item.embedding for item in numbers.data] == [[index + 0.5] * 5 for index in range(count)]
    assert usual.usage.total_tokens == 2 * count
    assert np.array(usual.data[0].embedding).dtype == np.float64


async def test_tokens_there_and_back() -> None:
    async with serving([rich()]) as running, httpx.AsyncClient(base_url=running.url) as client:
        told = (
            await client.post("/tokenize", json={"model": "rich", "prompt": "ab", "return_token_strs": True})
        ).json()
        assert told == {"count": 2, "max_model_len": 512, "tokens": [97, 98], "token_strs": ["a", "b"]}
        back = (await client.post("/detokenize", json={"tokens": told["tokens"]})).json()
        assert back == {"prompt": "ab"}


async def test_a_server_with_several_models_wants_one_named() -> None:
    other, _ = fake_served((), "echo")
    async with serving([rich(), other]) as running, httpx.AsyncClient(base_url=running.url) as client:
        error = (await client.post("/tokenize", json={"prompt": "ab"})).json()["error"]
        assert (error["param"], error["message"]) == (
            "model",
            "Missing required parameter: 'model'. This server has: rich, echo.",
        )
        error = (await client.post("/v1/embeddings", json={"model": "echo", "input": "x"})).json()["error"]
        assert (error["param"], error["code"]) == ("model", "model_not_supported")


async def judged(client: AsyncOpenAI, **extra: Any) -> openai.BadRequestError:
    with pytest.raises(openai.BadRequestError) as caught:
        await client.chat.completions.create(model="rich", messages=HELLO, **extra)
    return caught.value


async def test_other_servers_extensions_go_through_extra_body() -> None:
    async with serving([rich()]) as running, running.openai() as client:
        answer = await client.chat.completions.create(
            model="rich", messages=HELLO, extra_body={"top_k": 5, "guided_choice": ["a"], "min_p": 0.1}
        )
        assert json.loads(answer.to_json())["choices"][0]["finish_reason"] == "stop"
        assert (await judged(client, extra_body={"top_k": -5})).param == "top_k"
        assert (await judged(client, extra_body={"guided_regex": "a", "guided_choice": ["a"]})).param == "guided_regex"
