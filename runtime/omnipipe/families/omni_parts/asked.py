"""What the preprocess stage is asked: the value that a family writes in the gateway and reads in the stage.

Field names are the client's own, so that an error about one can name it. Both sides check it, for a stage may be asked
by others than our gateway.
"""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from omnipipe.errors import ErrorKind, RequestError
from omnipipe.families.llm.asked import invalid
from omnipipe.wire.value import Tensor, Value

__all__ = [
    "Chat",
    "MediaOptions",
    "Medium",
    "Speech",
    "TalkerSampling",
    "ThinkerSampling",
    "Verbatim",
    "convert",
    "read_asked",
]

Pixels = Annotated[int, Meta(ge=1, le=1 << 30)]
Frames = Annotated[int, Meta(ge=1, le=1 << 16)]
Fps = Annotated[float, Meta(gt=0, le=1000)]


class MediaOptions(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """None: the model's processors and the stage's options decide."""

    min_pixels: Pixels | None = None
    """Images with fewer are made larger."""
    max_pixels: Pixels | None = None
    """Images with more are made smaller."""
    video_fps: Fps | None = None
    """Frames taken from a second of video."""
    video_max_frames: Frames | None = None
    """Frames taken from one video."""
    video_min_pixels: Pixels | None = None
    """Of one frame."""
    video_max_pixels: Pixels | None = None
    """Of one frame."""
    video_total_pixels: Pixels | None = None
    """Of all frames of one video together."""
    use_audio_in_video: bool = False
    """The sound of a video is heard with its pictures."""


Temperature = Annotated[float, Meta(ge=0, le=2)]
Share = Annotated[float, Meta(ge=0, le=1)]
TopK = Annotated[int, Meta(ge=-1)]
Penalty = Annotated[float, Meta(gt=0, le=10)]
Count = Annotated[int, Meta(ge=1)]
Seed = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]


class TalkerSampling(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """How the talker chooses codes: `talker_*`, or `stage_sampling.talker`. None: as transformers' `generate` does."""

    do_sample: bool | None = None
    temperature: Temperature | None = None
    top_k: TopK | None = None
    top_p: Share | None = None
    repetition_penalty: Penalty | None = None
    max_new_tokens: Count | None = None
    seed: Seed | None = None


class ThinkerSampling(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """The same of the thinker, in place of the request's own fields."""

    do_sample: bool | None = None
    temperature: Temperature | None = None
    top_k: TopK | None = None
    top_p: Share | None = None
    min_p: Share | None = None
    repetition_penalty: Penalty | None = None
    max_new_tokens: Count | None = None
    seed: Seed | None = None


class Medium(msgspec.Struct, frozen=True, omit_defaults=True):
    """One piece of media, as the client sent it."""

    kind: Literal["image", "audio", "video"]
    data: Any
    """A `Tensor` of bytes, so that it travels through shared memory where there is some."""
    path: str = ""
    """What the client calls it."""

    @property
    def encoded(self) -> memoryview:
        assert isinstance(self.data, Tensor)
        return self.data.data


class Speech(msgspec.Struct, frozen=True, omit_defaults=True):
    """The answer is to be spoken."""

    voice: str = ""
    """Empty: the model's default."""
    options: TalkerSampling = TalkerSampling()


class Chat(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="kind", tag="chat"):
    messages: list[dict[str, Any]]
    """As chat templates take them. Content is text, or a list of parts; parts that are not text have a type alone and
    stand for the next of `media`."""
    options: dict[str, Any] = {}
    """`families.llm.asked.Options`"""
    media: list[Medium] = []
    media_options: MediaOptions = MediaOptions()
    speech: Speech | None = None
    limits: dict[str, float] = {}
    """`media.limits.MediaLimits`, where they are not the defaults."""


class Verbatim(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="kind", tag="verbatim"):
    """A text to be spoken as it stands."""

    text: str
    instructions: str = ""
    speech: Speech = Speech()


def read_asked(value: Value) -> Chat | Verbatim:
    """Raises RequestError."""
    try:
        asked: Chat | Verbatim = msgspec.convert(value, Chat | Verbatim)
    except msgspec.ValidationError as error:
        raise RequestError(ErrorKind.INVALID, f"this family cannot read this request: {error}") from error
    for medium in asked.media if isinstance(asked, Chat) else ():
        if not isinstance(medium.data, Tensor):
            raise RequestError(ErrorKind.INVALID, "this family cannot read this request: media is no bytes")
    return asked


def convert(given: dict[str, Value], kind: Any, prefix: str) -> Any:
    """`given` as a struct of `kind`. Raises RequestError naming the client's field, which is `prefix` and the key."""
    try:
        return msgspec.convert(given, kind)
    except msgspec.ValidationError as error:
        text, _, path = str(error).rpartition(" - at `$")
        param = prefix + path.strip("`.")
        raise invalid(f"'{param.rstrip('._')}': {text or error}.", param.rstrip("._"), "invalid_type") from error
