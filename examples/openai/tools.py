"""The model calls a tool, the program runs it, the model answers from its result.

omnipipe serve examples/chat.yaml
OPENAI_BASE_URL=http://127.0.0.1:8000/v1 OPENAI_API_KEY=none python examples/openai/tools.py
"""

import json

from openai import OpenAI
from openai.types.chat import ChatCompletionMessageParam, ChatCompletionToolParam

GET_WEATHER: ChatCompletionToolParam = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather in a city",
        "strict": True,
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
            "additionalProperties": False,
        },
    },
}


def get_weather(city: str) -> dict[str, str | int]:
    return {"temperature": 18, "sky": "sunny"} if city == "Oslo" else {"error": f"no station in {city}"}


client = OpenAI()
messages: list[ChatCompletionMessageParam] = [{"role": "user", "content": "What is the weather in Oslo?"}]
asked = client.chat.completions.create(model="chat", messages=messages, tools=[GET_WEATHER], temperature=0)
message = asked.choices[0].message
messages.append(message.to_dict())  # type: ignore[arg-type]
for call in message.tool_calls or ():
    assert call.type == "function"
    print(f"{call.function.name}({call.function.arguments})")
    result = get_weather(**json.loads(call.function.arguments))
    messages.append({"role": "tool", "tool_call_id": call.id, "content": json.dumps(result)})

answer = client.chat.completions.create(model="chat", messages=messages, tools=[GET_WEATHER], temperature=0)
print(answer.choices[0].message.content)
