"""A client's request as the embed stage takes it. Runs in the gateway: no torch, no tokenizer."""

from collections.abc import Mapping

from omnipipe.errors import ErrorKind, RequestError
from omnipipe.families.embed.graph import FAMILY
from omnipipe.families.requests import Capability, EmbedRequest, Entry, MediaKind, TextRequest
from omnipipe.wire.value import Value

__all__ = ["EmbeddingRequests"]


class EmbeddingRequests:
    """`families.requests.Requests` and `EmbedRequests` of the embed family."""

    capabilities: frozenset[Capability] = frozenset({"embed"})
    options: frozenset[str] = frozenset()
    media: frozenset[MediaKind] = frozenset()
    voices: frozenset[str] = frozenset()
    audio_formats: frozenset[str] = frozenset()
    sample_rate_hz: int = 0

    def entry(self, request: TextRequest) -> Entry:
        raise RequestError(
            ErrorKind.UNPROCESSABLE, "This model makes embeddings: ask it through /v1/embeddings.", param="model"
        )

    def entry_embed(self, request: EmbedRequest) -> Entry:
        for index, text in enumerate(request.inputs):
            if not text:
                raise _invalid(f"'input[{index}]' is empty.", "input")
        if not request.inputs:
            raise _invalid("'input' must have one text or more.", "input")
        if request.dimensions is not None and request.dimensions < 1:
            raise _invalid("'dimensions' must be at least 1.", "dimensions")
        inputs = [text if isinstance(text, str) else list(text) for text in request.inputs]
        value = {"kind": "embed", "inputs": inputs, "dimensions": request.dimensions}
        return Entry(value, frozenset({"text"}))

    def check_stage_params(self, stage: str, params: Mapping[str, Value]) -> None:
        """The stage's options decide how the model is loaded: none of them comes with a request."""
        if FAMILY.stage(stage) is None:
            raise _invalid(f"stage_params: no stage is called '{stage}'.", f"stage_params.{stage}")
        for name in params:
            message = f"stage_params.{stage}: the embed family takes no options with a request."
            raise _invalid(message, f"stage_params.{stage}.{name}")


def _invalid(message: str, param: str) -> RequestError:
    return RequestError(ErrorKind.INVALID, message, param=param, code="invalid_value")
