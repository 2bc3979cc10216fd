"""The example as it stands, from `omnipipe serve` to OpenAI's own client."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from openai import BadRequestError, OpenAI
from openai.types.chat import ChatCompletionToolUnionParam
from tests.integration.local.served import Served

pytestmark = pytest.mark.timeout(400)  # torch and transformers are imported by a process of its own

START_S = 240.0
"""torch and transformers are imported, on a busy machine."""
EXAMPLE = Path(__file__).parents[4] / "examples" / "chat.yaml"
TOOL: ChatCompletionToolUnionParam = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Weather of a city",
        "strict": True,
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
            "additionalProperties": False,
        },
    },
}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("logs")
    cache = {"TORCHINDUCTOR_CACHE_DIR": str(folder / "inductor")}  # torch makes it whether it compiles or not
    with Served(folder, EXAMPLE, "--port", "0", env=cache) as served:
        served.wait_until_ready(START_S)
        yield served


@pytest.fixture
def client(served: Served) -> Iterator[OpenAI]:
    with served.client() as client:
        yield client.with_options(max_retries=5)  # a machine with more to do than it can makes replicas look dead


def test_streamed_text_is_the_text(client: OpenAI) -> None:
    question = "What is 2+3?"
    whole = client.chat.completions.create(
        model="chat", temperature=0, messages=[{"role": "user", "content": question}]
    ).choices[0]
    with client.chat.completions.create(
        model="chat", temperature=0, messages=[{"role": "user", "content": question}], stream=True
    ) as chunks:
        deltas = [chunk.choices[0].delta.content or "" for chunk in chunks]

    assert whole.finish_reason == "stop"
    assert "5" in (whole.message.content or "")
    assert "".join(deltas) == whole.message.content


def test_a_tool_is_called_and_answered(client: OpenAI) -> None:
    asked = "What is the weather in Paris?"
    first = client.chat.completions.create(
        model="chat",
        temperature=0,
        messages=[{"role": "user", "content": asked}],
        tools=[TOOL],
        tool_choice={"type": "function", "function": {"name": "get_weather"}},
    ).choices[0]
    assert first.message.tool_calls
    (call,) = first.message.tool_calls
    assert call.type == "function"
    assert set(json.loads(call.function.arguments)) == {"city"}
    after = client.chat.completions.create(
        model="chat",
        temperature=0,
        max_tokens=20,
        messages=[
            {"role": "user", "content": asked},
            {
                "role": "assistant",
                "tool_calls": [
                    {
                        "id": call.id,
                        "type": "function",
                        "function": {"name": call.function.name, "arguments": call.function.arguments},
                    }
                ],
            },
            {"role": "tool", "tool_call_id": call.id, "content": "sunny"},
        ],
        tools=[TOOL],
        tool_choice="none",
    )

    assert after.choices[0].message.tool_calls is None
    assert after.usage is not None
    assert after.usage.prompt_tokens > 20


def test_json_to_a_schema(client: OpenAI) -> None:
    schema: dict[str, object] = {
        "type": "object",
        "properties": {"sum": {"type": "integer"}},
        "required": ["sum"],
        "additionalProperties": False,
    }
    answer = client.chat.completions.create(
        model="chat",
        temperature=0,
        messages=[{"role": "user", "content": "What is 2+3?"}],
        response_format={"type": "json_schema", "json_schema": {"name": "sum", "schema": schema, "strict": True}},
    ).choices[0]

    assert answer.finish_reason == "stop"
    assert isinstance(json.loads(answer.message.content or "")["sum"], int)


def test_too_long_is_said_in_openais_words(client: OpenAI) -> None:
    with pytest.raises(BadRequestError) as caught:
        client.chat.completions.create(model="chat", messages=[{"role": "user", "content": "no " * 3000}])

    assert caught.value.code == "context_length_exceeded"
    assert "maximum context length is 2048 tokens" in caught.value.message
