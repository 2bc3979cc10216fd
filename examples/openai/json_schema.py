"""An answer that always matches a schema: the model cannot write anything else.

omnipipe serve examples/chat.yaml
OPENAI_BASE_URL=http://127.0.0.1:8000/v1 OPENAI_API_KEY=none python examples/openai/json_schema.py
"""

from openai import OpenAI
from pydantic import BaseModel


class Person(BaseModel):
    name: str
    age: int


client = OpenAI()
answer = client.chat.completions.parse(
    model="chat",
    messages=[
        {
            "role": "user",
            "content": "Ann is 31 years old and lives in Oslo. Give me name and age as JSON.",
        }
    ],
    response_format=Person,
    temperature=0,
)
print(repr(answer.choices[0].message.parsed))
