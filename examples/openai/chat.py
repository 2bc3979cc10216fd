"""Chat with the OpenAI SDK, whole and as a stream.

omnipipe serve examples/chat.yaml
OPENAI_BASE_URL=http://127.0.0.1:8000/v1 OPENAI_API_KEY=none python examples/openai/chat.py
"""

from openai import OpenAI

client = OpenAI()

answer = client.chat.completions.create(
    model="chat",
    messages=[{"role": "user", "content": "How much is 9 plus 15?"}],
    temperature=0,
)
print(answer.choices[0].message.content)

stream = client.chat.completions.create(
    model="chat",
    messages=[{"role": "user", "content": "Sort these words: pear, apple, fig"}],
    temperature=0,
    stream=True,
    stream_options={"include_usage": True},
)
for chunk in stream:
    if chunk.choices:
        print(chunk.choices[0].delta.content or "", end="", flush=True)
    elif chunk.usage is not None:
        print(f"\n{chunk.usage.completion_tokens} tokens")
