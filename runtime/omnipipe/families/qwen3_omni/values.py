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
    """A key of the talker's `speaker_id`, in lower case; empty: the model's default."""
    rows: Tensor
    """`i32[m]`: the prompt positions that the talker hears, all those of user turns."""
    header: int
    """The last `<|im_start|>assistant` of the prompt."""
    positions: NotRequired[Tensor]
    """`f32[3, m + 9]`: M-RoPE positions of those rows and of the nine of the talker's own header. Absent: 0, 1, ..."""
    options: TalkerOptions


class SpeechText(TypedDict, total=False):
    """thinker.speech ~> talker.speech, every chunk but the first."""

    text: Tensor
    """`[k, hidden]`: thinker embeddings of generated tokens, in order."""


class SpeechBegin(SpeechText, total=False):
    """The first chunk of thinker.speech. Everything but `positions` and `text` is there."""

    prompt: Tensor
    """`[m, hidden]`, for `Spoken.rows`: of a text position the embedding, of media the accepted hidden state."""
    media: Tensor
    """`bool[m]`: which of them are media."""
    header: Tensor
    """`[3, hidden]`: embeddings of the assistant's header."""
    specials: Tensor
    """`[3, hidden]`: thinker embeddings of tts_bos, tts_eos and tts_pad."""
    positions: Tensor
    """As in `Spoken`."""
    voice: str
    options: TalkerOptions


class Codes(TypedDict):
    """talker.codes ~> code2wav.codes"""

    codes: Tensor
    """`i32[k, groups]`: k frames of the waveform."""
