"""What the document says of the routes that the framework does not know: bodies, answers, examples. Data alone."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from omnipipe.gateway.native.form_request import FIELDS, KWARGS, FormOptions
from omnipipe.gateway.native.lines import GenerateLine, GenerateResult
from omnipipe.gateway.native.prompt_answer import PromptAppend, PromptError, PromptFinal, PromptReply
from omnipipe.gateway.native.prompt_request import PromptBody
from omnipipe.gateway.openai.chat_request import ChatCompletionRequest
from omnipipe.gateway.openai.chat_shapes import ChatCompletion, ChatCompletionChunk
from omnipipe.gateway.openai.completion_answer import Completion, CompletionChunk
from omnipipe.gateway.openai.completion_request import CompletionRequest
from omnipipe.gateway.openai.embedding import EmbeddingList
from omnipipe.gateway.openai.embedding_request import EmbeddingRequest
from omnipipe.gateway.openai.speech_answer import SpeechChunk, SpeechDelta, SpeechDone
from omnipipe.gateway.openai.speech_request import SpeechBody
from omnipipe.gateway.openai.tokens import DetokenizeBody, DetokenizeResponse, TokenizeBody, TokenizeResponse
from omnipipe.media.encode import AUDIO_FORMATS

__all__ = ["BARE", "Answering", "Asking", "Bare", "Framed", "struct_types"]

Json = dict[str, Any]

_JSON: Final = "application/json"
_EVENTS: Final = "text/event-stream"
_TEST: Final = "Say this is a test."


@dataclass(frozen=True, slots=True)
class Asking:
    body: type | Json
    """A struct, or a schema."""
    example: Json
    streamed: Json = field(default_factory=dict)
    """What makes the example one of a stream; empty: there is none."""


@dataclass(frozen=True, slots=True)
class Framed:
    """A stream of frames."""

    frames: tuple[type, ...]
    events: bool = True
    """Server-sent events, with the error envelope for one that goes wrong. Otherwise lines."""
    done: bool = True
    """The last event is `[DONE]`."""


@dataclass(frozen=True, slots=True)
class Answering:
    content_type: str
    body: tuple[type, ...] | Framed
    """One of these; none: bytes."""


@dataclass(frozen=True, slots=True)
class Bare:
    operation_id: str
    summary: str
    tag: str
    asks: tuple[tuple[str, Asking], ...]
    """By content type."""
    answers: tuple[Answering, ...]
    description: str = "The answer."


_STREAM: Final[Json] = {"stream": True, "stream_options": {"include_usage": True}}
_STREAMED: Final = "The answer; with `stream`, as server-sent events that end with `data: [DONE]`."


def _whole(id: str, summary: str, tag: str, body: type, answer: type, example: Json) -> Bare:
    return Bare(id, summary, tag, ((_JSON, Asking(body, example)),), (Answering(_JSON, (answer,)),))


def _streamable(id: str, summary: str, tag: str, body: type, answer: type, chunk: type, example: Json) -> Bare:
    answers = (Answering(_JSON, (answer,)), Answering(_EVENTS, Framed((chunk,))))
    return Bare(id, summary, tag, ((_JSON, Asking(body, example, _STREAM)),), answers, _STREAMED)


_FORM_SCHEMAS: Final[dict[str, Json]] = {
    "files": {"type": "array", "items": {"type": "string", "format": "binary"}},
    "streaming": {"type": "string", "default": "true"},
    KWARGS: {
        "type": "string",
        "contentMediaType": _JSON,
        "contentSchema": {"$ref": "#/components/schemas/FormOptions"},
    },
    "request_id": {"type": "string", "pattern": "^[A-Za-z0-9._:-]{1,128}$"},
}
_FORM: Final[Json] = {
    "type": "object",
    "properties": {
        name: {"description": does, **_FORM_SCHEMAS.get(name, {"type": "string"})} for name, does in FIELDS.items()
    },
    "additionalProperties": False,
}

BARE: Final = {
    "/v1/chat/completions": _streamable(
        "createChatCompletion", "Answer a conversation", "chat",
        ChatCompletionRequest, ChatCompletion, ChatCompletionChunk,
        {"messages": [{"role": "user", "content": _TEST}]},
    ),
    "/v1/completions": _streamable(
        "createCompletion", "Continue a text", "completions",
        CompletionRequest, Completion, CompletionChunk, {"prompt": _TEST},
    ),
    "/v1/embeddings": _whole(
        "createEmbedding", "Make vectors of texts", "embeddings", EmbeddingRequest, EmbeddingList, {"input": [_TEST]}
    ),
    "/v1/audio/speech": Bare(
        "createSpeech", "Speak a text", "audio",
        ((_JSON, Asking(SpeechBody, {"input": _TEST}, {"stream_format": "sse"})),),
        (
            *(Answering(kind, ()) for kind in AUDIO_FORMATS.values()),
            Answering(_EVENTS, Framed((SpeechDelta, SpeechDone, SpeechChunk))),
        ),
        "The sound, sent as it is made; with `stream_format` `sse` or `stream`, as server-sent events.",
    ),
    "/generate": Bare(
        "generate", "Answer text and media with text and media", "native",
        (
            ("multipart/form-data", Asking(_FORM, {"text": _TEST}, {"streaming": True})),
            ("application/x-www-form-urlencoded", Asking(_FORM, {"text": _TEST})),
            (_JSON, Asking(PromptBody, {"prompt": _TEST}, {"stream": True})),
        ),
        (
            Answering(_JSON, (GenerateResult, PromptReply)),
            Answering("application/x-ndjson", Framed((GenerateLine,), events=False)),
            Answering(_EVENTS, Framed((PromptAppend, PromptFinal, PromptError))),
        ),
        "A form is answered in lines or, without `streaming`, in one document; a JSON body with a document or, with "
        "`stream`, as server-sent events.",
    ),
    "/tokenize": _whole(
        "tokenize", "Show a text or a chat as the model's tokens", "tokens",
        TokenizeBody, TokenizeResponse, {"prompt": _TEST},
    ),
    "/detokenize": _whole(
        "detokenize", "Show the text that tokens stand for", "tokens",
        DetokenizeBody, DetokenizeResponse, {"tokens": [1, 2, 3]},
    ),
}  # fmt: skip


def struct_types() -> Iterator[type]:
    """Whose schemas the document needs."""
    yield FormOptions
    for route in BARE.values():
        for _, ask in route.asks:
            if isinstance(ask.body, type):
                yield ask.body
        for answer in route.answers:
            yield from answer.body.frames if isinstance(answer.body, Framed) else answer.body
