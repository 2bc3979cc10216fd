"""POST /v1/chat/completions: from the body to an order."""

from omnipipe.families.requests import AudioOptions, TextRequest
from omnipipe.gateway.openai.answer import AUDIO, TEXT
from omnipipe.gateway.openai.capability import require
from omnipipe.gateway.openai.chat_answer import ChatAnswer, ChatWriter
from omnipipe.gateway.openai.chat_request import ChatCompletionRequest, VoiceId
from omnipipe.gateway.openai.conflicts import check_chat
from omnipipe.gateway.openai.fields import CHAT_FIELDS
from omnipipe.gateway.openai.messages import neutral_messages
from omnipipe.gateway.openai.order import Limits, Order, check_choices, omni_requests, wants_usage
from omnipipe.gateway.openai.refusals import invalid, missing
from omnipipe.gateway.openai.sound import FORMATS
from omnipipe.gateway.openai.spoken_answer import AudioWriting, SpokenAnswer
from omnipipe.gateway.request_ids import unique
from omnipipe.gateway.served import Served

__all__ = ["chat_order"]


def chat_order(
    body: ChatCompletionRequest, served: Served, request_id: str, now_s: int, limits: Limits
) -> Order[ChatWriter]:
    require("chat", served)
    include_usage = wants_usage(body)
    honoured = served.requests.options
    options = CHAT_FIELDS.collect(body, served.name, honoured)
    check_chat(body, options)
    per_prompt = body.n or 1
    check_choices(per_prompt, served, 1, limits)
    outputs = _outputs(body, served)
    audio = _audio(body, served, AUDIO in outputs)
    prompt = TextRequest("chat", neutral_messages(body.messages, tools="tools" in honoured), outputs, audio, options)
    requests = omni_requests(body, served, request_id, [prompt], per_prompt, limits)
    answer = _answer(body, served, now_s, per_prompt, include_usage, audio)
    return Order(served, requests, answer, bool(body.stream))


def _answer(
    body: ChatCompletionRequest,
    served: Served,
    now_s: int,
    per_prompt: int,
    include_usage: bool,
    audio: AudioOptions | None,
) -> ChatAnswer:
    name = unique()
    if audio is None:
        return ChatAnswer(
            id=f"chatcmpl-{name}",
            created=now_s,
            model=served.name,
            choices_per_prompt=per_prompt,
            include_usage=include_usage,
            logprobs=bool(body.logprobs),
        )
    return SpokenAnswer(
        AudioWriting(f"audio_{name}", audio.format, served.requests.sample_rate_hz),
        id=f"chatcmpl-{name}",
        created=now_s,
        model=served.name,
        choices_per_prompt=per_prompt,
        include_usage=include_usage,
        logprobs=bool(body.logprobs),
    )


def _outputs(body: ChatCompletionRequest, served: Served) -> frozenset[str]:
    asked = frozenset(body.modalities or (TEXT,))
    for modality in asked:
        if modality not in served.outputs:
            raise invalid(
                f"The model `{served.name}` does not answer with {modality}. "
                f"It answers with: {', '.join(sorted(served.outputs))}.",
                "modalities",
            )
    # A spoken answer has a transcript, whether its text was asked for or not.
    return asked | {TEXT} if TEXT in served.outputs else asked


def _audio(body: ChatCompletionRequest, served: Served, spoken: bool) -> AudioOptions | None:
    if not spoken:
        if body.audio is not None:
            raise invalid("'audio' needs \"audio\" in 'modalities'.", "audio")
        return None
    if body.audio is None:
        raise missing("audio", "when audio is among 'modalities'")
    voice = body.audio.voice
    if isinstance(voice, VoiceId):
        raise invalid("Custom voices are not supported: 'audio.voice' must be the name of a voice.", "audio.voice")
    voices = served.requests.voices
    if voice not in voices:
        raise invalid(f"Invalid value for 'audio.voice': the voices are {', '.join(sorted(voices))}.", "audio.voice")
    formats = served.requests.audio_formats & FORMATS
    chosen = body.audio.format
    if chosen not in formats:
        raise invalid(
            f"Invalid value for 'audio.format': the formats are {', '.join(sorted(formats))}.", "audio.format"
        )
    if body.stream and chosen != "pcm16":
        raise invalid("'audio.format' must be 'pcm16' when 'stream' is enabled.", "audio.format")
    return AudioOptions(voice, chosen)
