"""POST /v1/chat/completions: from the body to an order."""

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Final

from omnipipe.families.requests import AudioOptions, MediaKind, Part, TextRequest
from omnipipe.gateway.openai.answer import AUDIO, TEXT
from omnipipe.gateway.openai.capability import require
from omnipipe.gateway.openai.chat_answer import ChatAnswer, ChatWriter
from omnipipe.gateway.openai.chat_request import AudioParams, ChatCompletionRequest
from omnipipe.gateway.openai.conflicts import check_chat
from omnipipe.gateway.openai.fields import CHAT_FIELDS
from omnipipe.gateway.openai.messages import neutral_messages, referred, with_media
from omnipipe.gateway.openai.order import Draft, Limits, Order, check_choices, omni_requests, wants_usage
from omnipipe.gateway.openai.refusals import invalid, unsupported
from omnipipe.gateway.openai.spoken_answer import AudioWriting, SpokenAnswer
from omnipipe.gateway.openai.voices import checked_voice, voice_name
from omnipipe.gateway.request_ids import unique
from omnipipe.gateway.served import Served
from omnipipe.media.encode import available_formats
from omnipipe.wire.value import Value

__all__ = ["by_stage_type", "chat_order", "has_media"]


_TEXT_ALONE: Final = frozenset({TEXT})


def chat_order(
    body: ChatCompletionRequest, served: Served, request_id: str, now_s: int, limits: Limits
) -> Order[ChatWriter] | Draft[Order[ChatWriter]]:
    require("chat", served)
    include_usage = wants_usage(body)
    honoured = served.requests.options
    options = CHAT_FIELDS.collect(body, served.name, honoured)
    check_chat(body, options)
    per_prompt = body.n or 1
    check_choices(per_prompt, served, 1, limits)
    if "stage_sampling" in options:
        options["stage_sampling"] = by_stage_type(options["stage_sampling"], served, "stage_sampling")
    outputs = _outputs(body, served)
    audio = _audio(body, served, AUDIO in outputs)
    messages = neutral_messages(body.messages, tools="tools" in honoured, media=served.requests.media)
    if body.images or body.audios or body.videos:
        messages = with_media(messages, [*_beside(body, served)])
    voiced = audio if audio and audio.voice else None
    answer = _answer(body, served, now_s, per_prompt, include_usage, audio)
    prompt = TextRequest("chat", messages, outputs, voiced, options)
    if has_media(prompt):
        return Draft(served, prompt, partial(_order, body, served, request_id, per_prompt, limits, answer))
    return _order(body, served, request_id, per_prompt, limits, answer, prompt)


def _order(
    body: ChatCompletionRequest,
    served: Served,
    request_id: str,
    per_prompt: int,
    limits: Limits,
    answer: ChatAnswer,
    prompt: TextRequest,
) -> Order[ChatWriter]:
    requests = omni_requests(body, served, request_id, [prompt], per_prompt, limits)
    return Order(served, requests, answer, bool(body.stream))


def has_media(prompt: TextRequest) -> bool:
    for message in prompt.messages:  # a loop, for every request comes through here
        for part in message.parts:
            if part.path:
                return True
    return False


def by_stage_type(given: Mapping[str, Value], served: Served, path: str) -> dict[str, Value]:
    """What is said of stages by name, as the family has it: by the stage's type."""
    for stage in given:
        if stage not in served.stage_types:
            raise invalid(
                f"The model `{served.name}` has no stage '{stage}'. It has: {', '.join(served.stage_types)}.",
                f"{path}.{stage}",
                "unknown_parameter",
            )
    return {served.stage_types[stage]: value for stage, value in given.items()}


def _beside(body: ChatCompletionRequest, served: Served) -> Iterator[Part]:
    """The media that came beside the messages."""
    kinds: tuple[tuple[str, MediaKind, list[str] | None], ...] = (
        ("images", "image", body.images),
        ("audios", "audio", body.audios),
        ("videos", "video", body.videos),
    )
    for field, kind, references in kinds:
        if references is None:
            continue
        if kind not in served.requests.media:
            raise unsupported(served.name, field, f"It takes no {kind}.")
        for index, reference in enumerate(references):
            yield referred(kind, reference, f"{field}[{index}]")


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
    if body.modalities is None and TEXT in served.outputs:
        return _TEXT_ALONE
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
    """An empty voice is the family's own choice."""
    if not spoken:
        if body.audio is not None:
            raise invalid("'audio' needs \"audio\" in 'modalities'.", "audio")
        return None
    asked = body.audio or AudioParams()
    voice = checked_voice(voice_name(asked.voice, "audio.voice"), served, "audio.voice")
    chosen = asked.format or ("pcm16" if body.stream else "wav")
    formats = served.requests.audio_formats & available_formats()
    if chosen not in formats:
        raise invalid(
            f"Invalid value for 'audio.format': the formats are {', '.join(sorted(formats))}.", "audio.format"
        )
    if body.stream and chosen != "pcm16":
        raise invalid("'audio.format' must be 'pcm16' when 'stream' is enabled.", "audio.format")
    return AudioOptions(voice or "", chosen)
