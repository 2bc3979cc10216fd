"""What the speaker is asked: written by the gateway's side of the family, read by the stage's."""

import msgspec

from omnipipe.errors import ErrorKind, RequestError
from omnipipe.families.orpheus.graph import VOICES
from omnipipe.wire.value import Value

__all__ = ["Asked", "read_asked"]


class Asked(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """The defaults are those that the model was published with."""

    text: str
    voice: str = VOICES[0]
    temperature: float = 0.6
    top_p: float = 0.8
    top_k: int = 0
    repetition_penalty: float = 1.3
    seed: int | None = None
    max_new_tokens: int | None = None
    """Seven are 85 ms. None: until it stops, or the context is full."""


def read_asked(value: Value) -> Asked:
    """Raises RequestError."""
    try:
        return msgspec.convert(value, Asked)
    except msgspec.ValidationError as error:
        raise RequestError(ErrorKind.INVALID, f"the orpheus family cannot read this request: {error}") from error
