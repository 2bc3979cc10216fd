"""A client's request as the echo pipeline takes it: the last user message, how much of it to say, in which voice."""

from collections.abc import Mapping

from omnipipe.errors import ErrorKind, RequestError
from omnipipe.families.echo.graph import FAMILY
from omnipipe.families.echo.knobs import check_knobs
from omnipipe.families.echo.text import count_words
from omnipipe.families.echo.tones import SAMPLE_RATE_HZ, VOICES
from omnipipe.families.requests import Capability, Entry, MediaKind, Message, SpeechRequest, TextRequest
from omnipipe.spec.suggest import listed, meant
from omnipipe.wire.value import Value

__all__ = ["EchoRequests"]

_DEFAULT_VOICE = "alloy"
_BRINGS = frozenset({"text"})


class EchoRequests:
    """`families.requests.Requests` of the echo family. A token is a word."""

    capabilities: frozenset[Capability] = frozenset({"chat", "completion", "speech"})
    options: frozenset[str] = frozenset({"max_tokens", "max_completion_tokens", "stop"})
    media: frozenset[MediaKind] = frozenset()
    voices: frozenset[str] = frozenset(VOICES)
    audio_formats: frozenset[str] = frozenset({"wav", "pcm16", "mp3", "flac", "opus", "aac"})
    sample_rate_hz: int = SAMPLE_RATE_HZ
    speech_options: frozenset[str] = frozenset()
    speech_chars: int = 400
    """Any number would do; this one lets a few sentences show how longer texts are cut."""

    def entry(self, request: TextRequest) -> Entry:
        said, tokens = None, 0
        for index, message in enumerate(request.messages):
            text = _text(message, index)
            tokens += count_words(text)
            if message.role == "user":
                said = text
        if said is None:
            raise RequestError(
                ErrorKind.INVALID,
                "the echo family repeats the last user message, and there is none; add a message of role user",
                param="messages",
            )
        value = {
            "text": said,
            "max_tokens": _limit(request.options),
            "stop": _stop(request.options.get("stop")),
            "voice": _voice(request),
            "prompt_tokens": tokens,
        }
        return Entry(value, _BRINGS)

    def entry_speech(self, request: SpeechRequest) -> Entry:
        value: dict[str, Value] = {
            "text": request.input,
            "max_tokens": None,
            "stop": [],
            "voice": _DEFAULT_VOICE if request.voice is None else request.voice,
            "prompt_tokens": count_words(request.input),
        }
        return Entry(value, _BRINGS)

    def check_stage_params(self, stage: str, params: Mapping[str, Value]) -> None:
        if FAMILY.stage(stage) is None:
            names = [kind.name for kind in FAMILY.stages]
            message = f'stage_params: no stage is called "{stage}"{meant(stage, names)}'
            raise RequestError(ErrorKind.INVALID, message, param=f"stage_params.{stage}")
        check_knobs(stage, params, stage)


def _text(message: Message, index: int) -> str:
    parts = message.parts
    if len(parts) == 1 and parts[0].type == "text" and message.reasoning is None:  # nearly always
        return parts[0].text
    path = f"messages[{index}]"
    if message.reasoning is not None:
        raise RequestError(
            ErrorKind.INVALID,
            f"'{path}.reasoning_content' is not supported: this pipeline does not reason; leave it out",
            param=f"{path}.reasoning_content",
            code="unsupported_parameter",
        )
    for at, part in enumerate(parts):
        if part.type != "text":
            raise RequestError(
                ErrorKind.UNPROCESSABLE,
                f"this pipeline takes text only, not {part.type}",
                param=f"{path}.content[{at}]",
            )
    return "".join(part.text for part in parts)


def _limit(options: Mapping[str, Value]) -> int | None:
    old, new = options.get("max_tokens"), options.get("max_completion_tokens")
    if old is not None and new is not None and old != new:
        message = f"max_tokens ({old}) and max_completion_tokens ({new}) differ; give one of them"
        raise RequestError(ErrorKind.INVALID, message, param="max_tokens")
    limit: int | None = old if new is None else new
    return limit


def _stop(stop: Value) -> list[str]:
    if stop is None:
        return []
    return [stop] if isinstance(stop, str) else [string for string in stop if string]


def _voice(request: TextRequest) -> str:
    if request.audio is None:
        return _DEFAULT_VOICE
    if request.audio.voice not in VOICES:
        message = f'no voice is called "{request.audio.voice}"; this pipeline has {listed(VOICES)}'
        raise RequestError(ErrorKind.INVALID, message, param="audio.voice")
    return request.audio.voice
