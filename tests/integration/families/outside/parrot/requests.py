"""From a client's chat to what the writer is asked. No torch here: it runs in the gateway."""

from collections.abc import Mapping

from omnipipe.errors import ErrorKind, RequestError
from omnipipe.families.requests import Capability, Entry, MediaKind, TextRequest
from omnipipe.wire.value import Value

__all__ = ["ParrotRequests"]


class ParrotRequests:
    """A `families.requests.Requests`."""

    capabilities: frozenset[Capability] = frozenset({"chat"})
    options: frozenset[str] = frozenset({"max_tokens"})
    media: frozenset[MediaKind] = frozenset()
    voices: frozenset[str] = frozenset()
    audio_formats: frozenset[str] = frozenset()
    sample_rate_hz = 0

    def entry(self, request: TextRequest) -> Entry:
        said = "".join(part.text for part in request.messages[-1].parts)
        if not said:
            raise RequestError(ErrorKind.INVALID, "there is nothing to answer", param="messages")
        return Entry({"text": said, "max_tokens": request.options.get("max_tokens")}, frozenset({"text"}))

    def check_stage_params(self, stage: str, params: Mapping[str, Value]) -> None:
        for name in params:
            raise RequestError(ErrorKind.INVALID, "no stage takes any", param=f"stage_params.{stage}.{name}")
