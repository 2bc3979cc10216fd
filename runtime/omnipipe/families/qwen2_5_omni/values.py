"""What the thinker hands the talker, and the talker the vocoder; how both are told what to speak.

Plain data as in `omni_parts.values`, which has what travels on the other edges.
"""

from typing import NotRequired, TypedDict

from omnipipe.families.omni_parts.values import TalkerOptions
from omnipipe.wire.value import Tensor

__all__ = ["Codes", "SpeechBegin", "SpeechText", "Spoken"]


class Spoken(TypedDict):
    """How the answer is to be spoken."""

    voice: str
    """In lower case; empty: the model's default."""
    start: int
    """Where the text begins that is to be spoken as it stands; the end of any other prompt."""
    options: TalkerOptions


class SpeechText(TypedDict, total=False):
    """thinker.speech ~> talker.speech, every chunk but the first."""

    text: Tensor
    """`[k, hidden]`: of generated tokens, in order, the embedding and the last hidden state together."""


class SpeechBegin(SpeechText, total=False):
    """The first chunk of thinker.speech. Everything but `positions` and `text` is there."""

    prompt: Tensor
    """`[n, hidden]`: of the whole prompt, as `text`; of media the hidden state alone."""
    positions: Tensor
    """`f32[3, n]`: M-RoPE positions of the prompt. Absent: 0 to n - 1."""
    specials: Tensor
    """`[3, hidden]`: thinker embeddings of the voice's beginning, of the text's end, and of nothing."""
    voice: str
    options: TalkerOptions


class Codes(TypedDict):
    """talker.codes ~> token2wav.codes"""

    codes: Tensor
    """`i32[k]`"""
    voice: NotRequired[str]
    """In the first chunk."""
    seed: NotRequired[int]
    """In the first chunk: of the noise that the sound is made of."""
