"""The JSON body of POST /generate: from the body to an order."""

from omnipipe.errors import RequestError
from omnipipe.families.requests import Message, Part, TextRequest
from omnipipe.gateway.exchange import StreamKind
from omnipipe.gateway.native.prompt_answer import PromptAnswer, PromptWriter, error_event
from omnipipe.gateway.native.prompt_request import PromptBody
from omnipipe.gateway.openai.answer import TEXT
from omnipipe.gateway.openai.capability import require
from omnipipe.gateway.openai.fields import PROMPT_FIELDS
from omnipipe.gateway.openai.order import Limits, Order, entry, submissions
from omnipipe.gateway.openai.refusals import invalid, unsupported
from omnipipe.gateway.served import Served

__all__ = ["prompt_order"]

_DENOISE = "denoise"
_FORM = "/generate with a form"


def prompt_order(body: PromptBody, served: Served, request_id: str, now_s: int, limits: Limits) -> Order[PromptWriter]:
    require("completion", served, where="/generate (JSON)", instead=_FORM)
    options = PROMPT_FIELDS.collect(body, served.name, served.requests.options)
    if body.stream_mode is not None and not body.stream:
        raise invalid("'stream_mode' is only allowed when 'stream' is enabled.", "stream_mode")
    if body.stream_mode == _DENOISE:
        raise unsupported(served.name, "stream_mode", 'It does not denoise: leave it out or set it to "block_append".')
    if TEXT not in served.outputs:
        raise invalid(f"The model `{served.name}` does not answer with text.", "model")
    if "logprobs" in served.requests.options:
        options["logprobs"] = 0  # which brings the tokens' ids
    made = entry(served.requests.entry, _request(body.prompt, served, options))
    requests = submissions(body, served, request_id, [(made, frozenset({TEXT}))], limits)

    def tell(error: RequestError) -> bytes:
        return error_event(request_id, error)

    kind = StreamKind(b"text/event-stream; charset=utf-8", tell)
    return Order(served, requests, PromptAnswer(request_id), bool(body.stream), kind)


def _request(prompt: str | list[int], served: Served, options: dict[str, object]) -> TextRequest:
    outputs = frozenset({TEXT})
    if isinstance(prompt, str):
        return TextRequest("completion", (Message("user", (Part("text", prompt),)),), outputs, None, options)
    if "tokenize" not in served.requests.capabilities:
        raise unsupported(served.name, "prompt", "It takes texts, not token ids.")
    return TextRequest("completion", (), outputs, None, options, tuple(prompt))
