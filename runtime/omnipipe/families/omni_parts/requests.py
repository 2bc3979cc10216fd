"""A client's request as the preprocess stage takes it. Runs in the gateway: no torch, no tokenizer, no decoding.

Checked here is what can be seen without a model; whether media can be decoded, and whether all of it fits, is the
stages' to say.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from omnipipe.errors import ErrorKind, RequestError
from omnipipe.families.llm.asked import invalid, read_options
from omnipipe.families.llm.checks import check_options, check_tools
from omnipipe.families.llm.template_messages import template_message
from omnipipe.families.omni_parts.asked import Chat, Medium, Speech, TalkerSampling, Verbatim, convert
from omnipipe.families.omni_parts.knobs import (
    MEDIA_OPTIONS,
    STAGE_OPTIONS,
    TEXT_OPTIONS,
    media_options,
    talker_sampling,
    thinker_options,
)
from omnipipe.families.requests import Capability, Entry, MediaKind, Message, Part, SpeechRequest, TextRequest
from omnipipe.spec.family import Family
from omnipipe.spec.suggest import meant
from omnipipe.wire.value import Tensor, Value

__all__ = ["OmniRequests"]

_AUDIO: Final = "audio"
_SPEECH_SAMPLING: Final = frozenset(
    {"temperature", "top_p", "top_k", "repetition_penalty", "max_new_tokens", "seed"}
)  # fmt: skip


class OmniRequests:
    """`families.requests.Requests` and `SpeechRequests` of a family that says which it is, and its voices."""

    family: Family
    capabilities: frozenset[Capability] = frozenset({"chat", "speech"})
    options: frozenset[str] = TEXT_OPTIONS | STAGE_OPTIONS | MEDIA_OPTIONS | {"n"}
    media: frozenset[MediaKind] = frozenset({"image", "audio", "video"})
    voices: frozenset[str]
    """Of the models of this family. The stage that has the model at hand says so when one lacks them."""
    audio_formats: frozenset[str] = frozenset({"wav", "pcm16", "mp3", "flac", "opus", "aac"})
    sample_rate_hz: int = 24_000
    speech_options: frozenset[str] = _SPEECH_SAMPLING | {"instructions"}
    speech_chars: int = 600
    """Some forty seconds: the talker was made for answers in a conversation, and is sure of itself for that long."""

    def entry(self, request: TextRequest) -> Entry:
        given = request.options
        for name in given:
            if name not in self.options:
                raise invalid(f"'{name}' means nothing here{meant(name, self.options)}.", name, "unknown_parameter")
        options = read_options(thinker_options(given))
        check_options(options)
        check_tools(options)
        if options.top_logprobs and not options.logprobs:
            raise invalid("'top_logprobs' needs 'logprobs' to be true.", "top_logprobs")
        media: list[Medium] = []
        messages = _messages(request.messages, media)
        asked = Chat(
            messages=messages,
            options=msgspec.to_builtins(options),
            media=media,
            media_options=media_options(given),
            speech=_speech(request, options.seed),
            limits=dict(request.media_limits),
        )
        return Entry(_builtins(asked), _brought(asked))

    def entry_speech(self, request: SpeechRequest) -> Entry:
        for name in request.options:
            if name not in self.speech_options:
                raise invalid(f"'{name}' means nothing here{meant(name, self.speech_options)}.", name)
        given = {name: value for name, value in request.options.items() if name in _SPEECH_SAMPLING}
        sampling: TalkerSampling = convert(given, TalkerSampling, "")
        asked = Verbatim(
            text=request.input,
            instructions=str(request.options.get("instructions") or ""),
            speech=Speech(request.voice or "", sampling),
        )
        return Entry(msgspec.to_builtins(asked), frozenset({"text"}))

    def check_stage_params(self, stage: str, params: Mapping[str, Value]) -> None:
        """The stages' options hold for all requests; what one request can ask of a stage has fields of its own."""
        if self.family.stage(stage) is None:
            names = [kind.name for kind in self.family.stages]
            raise invalid(
                f"stage_params: no stage is called '{stage}'{meant(stage, names)}.", f"stage_params.{stage}"
            )  # fmt: skip
        for name in params:
            raise invalid(
                f"stage_params.{stage}: stages of this family take no options with a request; sampling is asked for by "
                "'stage_sampling'.",
                f"stage_params.{stage}.{name}",
                "unknown_parameter",
            )


def _builtins(asked: Chat) -> Value:
    """Without a copy of the media, which msgspec would not take as they are."""
    media = [{"kind": medium.kind, "data": medium.data, "path": medium.path} for medium in asked.media]
    return msgspec.to_builtins(msgspec.structs.replace(asked, media=[])) | ({"media": media} if media else {})


def _brought(asked: Chat) -> frozenset[str]:
    """A video may have sound, which is seen when it is opened: the audio encoder waits for word of it."""
    kinds: set[str] = {medium.kind for medium in asked.media}
    if "video" in kinds and asked.media_options.use_audio_in_video:
        kinds.add(_AUDIO)
    return frozenset({"text", *kinds})


def _speech(request: TextRequest, seed: int | None) -> Speech | None:
    """Whether or not it is to be spoken, what is said of the talker must be right."""
    sampling = talker_sampling(request.options, seed)
    if _AUDIO not in request.outputs:
        silent = [name for name in request.options if name.startswith("talker_")]
        if "talker" in (request.options.get("stage_sampling") or {}):
            silent.append("stage_sampling.talker")
        if silent:
            raise invalid(f"'{silent[0]}' needs \"audio\" in 'modalities'.", silent[0])
        return None
    return Speech("" if request.audio is None else request.audio.voice, sampling)


def _messages(messages: Sequence[Message], media: list[Medium]) -> list[dict[str, Any]]:
    paths = [f"messages[{index}]" for index in range(len(messages))]
    return [
        template_message(message, _content(message.parts, path, media), path)
        for message, path in zip(messages, paths, strict=True)
    ]


def _content(parts: Sequence[Part], path: str, media: list[Medium]) -> str | list[dict[str, str]]:
    if all(part.type == "text" for part in parts):
        return "".join(part.text for part in parts)
    content: list[dict[str, str]] = []
    for index, part in enumerate(parts):
        if part.type == "text":
            content.append({"type": "text", "text": part.text})
            continue
        where = part.path or f"{path}.content[{index}]"
        if not part.data:
            raise RequestError(ErrorKind.INVALID, f"'{where}' is empty.", param=where, code="invalid_media")
        content.append({"type": part.type})
        media.append(Medium(part.type, Tensor("u8", (len(part.data),), memoryview(part.data)), where))
    return content
