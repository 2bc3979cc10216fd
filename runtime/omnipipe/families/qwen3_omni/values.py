"""What travels on the edges of the qwen3_omni family.

Plain data with wire `Tensor`s, typed for those who write and read it. Floats that a model made travel in the model's
dtype, `f32` or `bf16`; token ids and codes as `i32`. An `Item` is a piece of media; its number everywhere is its place
in `Prompt.items`.
"""

from typing import Literal, NotRequired, TypedDict

from omnipipe.wire.value import Tensor, Value

__all__ = [
    "AudioFeatures",
    "AudioItem",
    "Codes",
    "EmbeddedItem",
    "Embeds",
    "Item",
    "Prompt",
    "Span",
    "SpeechBegin",
    "SpeechText",
    "Spoken",
    "TalkerOptions",
    "VisionFeatures",
    "VisionItem",
]


class Item(TypedDict):
    kind: Literal["image", "video", "audio"]
    key: bytes
    """A digest of the decoded content and of the settings it was preprocessed with: equal keys, equal embeddings."""
    size: int
    """Positions that it takes in the prompt, all spans together."""


class Span(TypedDict):
    """A run of prompt positions that hold rows of one item's embeddings."""

    item: int
    offset: int
    """First row of the item."""
    start: int
    """First position of the prompt."""
    size: int


class TalkerOptions(TypedDict, total=False):
    """What differs from `generate`'s own defaults, under its names without the prefix `talker_`."""

    do_sample: bool
    temperature: float
    top_k: int
    top_p: float
    repetition_penalty: float
    max_new_tokens: int
    seed: int


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


class Prompt(TypedDict):
    """preprocess.prompt -> thinker.prompt"""

    tokens: Tensor
    """`i32[n]`: the template rendered, placeholders expanded."""
    positions: NotRequired[Tensor]
    """`f32[3, n]`: M-RoPE positions (a video's need not be whole numbers). Absent: 0 to n - 1."""
    items: list[Item]
    spans: list[Span]
    """In order of `start`. An item is one span, but for sound and pictures of one video, which alternate."""
    options: dict[str, Value]
    """The client's, as `families.llm.asked.Options` reads them."""
    speech: NotRequired[Spoken]
    """Absent: nobody listens."""
    verbatim: NotRequired[bool]
    """True: no text is generated. `tokens` ends with the assistant's header and then the very text to be spoken."""


class AudioItem(TypedDict):
    item: int
    key: bytes
    features: Tensor
    """`f32[mels, frames]`"""


class AudioFeatures(TypedDict):
    """preprocess.audio -> audio-encoder.audio"""

    items: list[AudioItem]


class VisionItem(TypedDict):
    item: int
    key: bytes
    features: Tensor
    """`f32[patches, dim]`"""
    grid: list[int]
    """`[t, h, w]`, in patches."""


class VisionFeatures(TypedDict):
    """preprocess.vision -> vision-encoder.vision"""

    items: list[VisionItem]


class EmbeddedItem(TypedDict):
    item: int
    embeds: Tensor
    """`[size, hidden]`"""
    deep: list[Tensor]
    """`[size, hidden]` each, added to the hidden states after layer 0, 1, ... of the thinker. Empty for sound."""


class Embeds(TypedDict):
    """audio-encoder.embeds -> thinker.audio, vision-encoder.embeds -> thinker.vision"""

    items: list[EmbeddedItem]


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
