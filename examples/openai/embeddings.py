"""Which of some texts is nearest to a question, by their embeddings.

omnipipe serve examples/embeddings.yaml
OPENAI_BASE_URL=http://127.0.0.1:8000/v1 OPENAI_API_KEY=none python examples/openai/embeddings.py
"""

from openai import OpenAI

TEXTS = ["The cat sleeps on the sofa.", "Stocks fell on Monday.", "It will rain in Oslo tomorrow."]

client = OpenAI()
question, *texts = client.embeddings.create(model="embeddings", input=["What is the weather like?", *TEXTS]).data
assert question.embedding and len(texts) == len(TEXTS)


def likeness(one: list[float], other: list[float]) -> float:
    """Embeddings have length 1: their product is the cosine of the angle between them."""
    return sum(a * b for a, b in zip(one, other, strict=True))


for text, found in sorted(
    zip(TEXTS, texts, strict=True), key=lambda pair: -likeness(question.embedding, pair[1].embedding)
):
    print(f"{likeness(question.embedding, found.embedding):.3f}  {text}")
