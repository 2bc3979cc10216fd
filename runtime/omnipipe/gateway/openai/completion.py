"""POST /v1/completions: from the body to an order."""

from collections.abc import Sequence

from omnipipe.families.requests import Message, Part, TextRequest
from omnipipe.gateway.openai.answer import TEXT
from omnipipe.gateway.openai.capability import require
from omnipipe.gateway.openai.completion_answer import CompletionAnswer, CompletionWriter
from omnipipe.gateway.openai.completion_request import CompletionRequest, Prompt
from omnipipe.gateway.openai.conflicts import check_shape
from omnipipe.gateway.openai.fields import COMPLETION_FIELDS
from omnipipe.gateway.openai.order import Limits, Order, check_choices, omni_requests, wants_usage
from omnipipe.gateway.openai.refusals import invalid, unsupported
from omnipipe.gateway.request_ids import unique
from omnipipe.gateway.served import Served
from omnipipe.wire.value import Value

__all__ = ["completion_order"]


def completion_order(
    body: CompletionRequest, served: Served, request_id: str, now_s: int, limits: Limits
) -> Order[CompletionWriter]:
    require("completion", served)
    include_usage = wants_usage(body)
    options = COMPLETION_FIELDS.collect(body, served.name, served.requests.options)
    check_shape(body)
    if TEXT not in served.outputs:
        raise invalid(f"The model `{served.name}` does not answer with text.", "model")
    prompts = _prompts(body.prompt, served)
    echoes = _echoes(body, served, prompts, options)
    wanted = body.n or 1
    made = _best_of(body, served, wanted, options)
    check_choices(made, served, len(prompts), limits)
    requests = omni_requests(body, served, request_id, [_request(prompt, options) for prompt in prompts], made, limits)
    answer = CompletionAnswer(
        id=f"cmpl-{unique()}",
        created=now_s,
        model=served.name,
        echoes=[echo for echo in echoes for _ in range(made)],
        choices_per_prompt=made,
        best=wanted,
        include_usage=include_usage,
        logprobs=body.logprobs is not None,
    )
    return Order(served, requests, answer, bool(body.stream))


_Prompt = str | tuple[int, ...]


def _prompts(prompt: Prompt, served: Served) -> Sequence[_Prompt]:
    if isinstance(prompt, str):
        return [prompt]
    texts = [item for item in prompt if isinstance(item, str)]
    if len(texts) == len(prompt):
        return texts
    tokens = [item for item in prompt if isinstance(item, int)]
    lists = [tuple(item) for item in prompt if isinstance(item, list)]
    if len(prompt) not in (len(tokens), len(lists)):
        raise invalid("'prompt' must be all texts, all tokens or all lists of tokens.", "prompt", "invalid_type")
    if "tokenize" not in served.requests.capabilities:
        raise unsupported(served.name, "prompt", "It takes texts, not token ids.")
    return lists or [tuple(tokens)]


def _echoes(
    body: CompletionRequest, served: Served, prompts: Sequence[_Prompt], options: dict[str, Value]
) -> list[str]:
    """What the gateway itself puts before each answer. A model that knows its tokens echoes them itself."""
    if not body.echo:
        return [""] * len(prompts)
    if "echo" in served.requests.options:
        options["echo"] = True
        return [""] * len(prompts)
    if body.logprobs is not None:
        raise unsupported(served.name, "echo", "It does not tell how likely a prompt was.")
    return [prompt if isinstance(prompt, str) else "" for prompt in prompts]


def _best_of(body: CompletionRequest, served: Served, wanted: int, options: dict[str, Value]) -> int:
    """How many choices are made of each prompt. Which of them are best is seen by their logprobs."""
    made = body.best_of
    if made is None or made == wanted:
        return wanted
    if made < wanted:
        raise invalid(f"'best_of' must be at least 'n', which is {wanted}.", "best_of")
    if "logprobs" not in served.requests.options:
        raise unsupported(served.name, "best_of", "Leave it out or set it to 'n'.")
    if body.stream:
        raise invalid("'best_of' cannot be combined with 'stream': the best is known at the end.", "best_of")
    if body.echo:
        raise invalid("'best_of' cannot be combined with 'echo'.", "best_of")
    options.setdefault("logprobs", 0)
    return made


def _request(prompt: _Prompt, options: dict[str, Value]) -> TextRequest:
    if isinstance(prompt, tuple):
        return TextRequest("completion", (), frozenset({TEXT}), None, options, prompt)
    return TextRequest("completion", (Message("user", (Part("text", text=prompt),)),), frozenset({TEXT}), None, options)
