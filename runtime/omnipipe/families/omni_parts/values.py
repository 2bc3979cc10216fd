"""What travels on the edges up to the thinker.

Plain data with wire `Tensor`s, typed for those who write and read it. Floats that a model made travel in the model's
dtype, `f32` or `bf16`; token ids and codes as `i32`. An `Item` is a piece of media; its number everywhere is its place
in `Prompt.items`.
"""

from typing import Any, Literal, NotRequired, TypedDict

from omnipipe.wire.value import Tensor, Value

__all__ = [
    "AudioFeatures",
    "AudioItem",
    "EmbeddedItem",
    "Embeds",
    "Item",
    "Prompt",
    "Span",
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
    speech: NotRequired[Any]
    """The family's own `Spoken`: how the answer is to be spoken. Absent: nobody listens."""
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
