"""POST /v1/completions: from the body to an order."""

from omnipipe.families.requests import Message, Part, TextRequest
from omnipipe.gateway.openai.answer import TEXT
from omnipipe.gateway.openai.completion_answer import CompletionAnswer, CompletionWriter
from omnipipe.gateway.openai.completion_request import CompletionRequest, Prompt
from omnipipe.gateway.openai.fields import COMPLETION_FIELDS, unsupported
from omnipipe.gateway.openai.order import Limits, Order, check_choices, invalid, omni_requests, wants_usage
from omnipipe.gateway.request_ids import unique
from omnipipe.gateway.served import Served

__all__ = ["completion_order"]


def completion_order(
    body: CompletionRequest, served: Served, request_id: str, now_s: int, limits: Limits
) -> Order[CompletionWriter]:
    include_usage = wants_usage(body)
    options = COMPLETION_FIELDS.collect(body, served.name, served.requests.options)
    if TEXT not in served.outputs:
        raise invalid(f"The model `{served.name}` does not answer with text.", "model")
    texts = _texts(body.prompt, served)
    per_prompt = check_choices(body, served, len(texts), limits)
    prompts = [
        TextRequest("completion", (Message("user", (Part("text", text=text),)),), frozenset({TEXT}), None, options)
        for text in texts
    ]
    requests = omni_requests(body, served, request_id, prompts, per_prompt, limits)
    answer = CompletionAnswer(
        id=f"cmpl-{unique()}",
        created=now_s,
        model=served.name,
        echoes=[text if body.echo else "" for text in texts for _ in range(per_prompt)],
        choices_per_prompt=per_prompt,
        include_usage=include_usage,
    )
    return Order(served, requests, answer, bool(body.stream))


def _texts(prompt: Prompt, served: Served) -> list[str]:
    if isinstance(prompt, str):
        return [prompt]
    texts = [text for text in prompt if isinstance(text, str)]
    if len(texts) == len(prompt):
        return texts
    if texts:
        raise invalid("'prompt' must be all texts or all tokens, not both.", "prompt", "invalid_type")
    raise unsupported(served.name, "prompt", "It takes texts, not token ids.")
