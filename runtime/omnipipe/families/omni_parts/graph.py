"""The stages up to the codes of the sound, and the edges between them, as static data."""

from omnipipe.spec.family import EdgeType, ParamType, PortType, StageType
from omnipipe.spec.plan import EdgeKind, EngineKind, Placement

__all__ = ["AUDIO", "CODES", "DTYPE", "EDGES", "SOURCES", "stages_of"]

_REQUEST = PortType("json", EdgeKind.PAYLOAD)
_PROMPT = PortType("prompt", EdgeKind.PAYLOAD)
_FEATURES = PortType("features", EdgeKind.PAYLOAD)
_EMBEDS = PortType("embeds", EdgeKind.PAYLOAD)
_SPEECH = PortType("speech", EdgeKind.STREAM)
_TEXT = PortType("text", EdgeKind.STREAM)
CODES = PortType("codes", EdgeKind.STREAM)
AUDIO = PortType("audio", EdgeKind.STREAM)

DTYPE = ParamType(
    str,
    "auto",
    "What the encoder computes in; auto: what suits the hardware.",
    choices=("auto", "float32", "bfloat16", "float16"),
)
SOURCES = ("hf", "file", "pvc", "builtin")
EDGES = (
    EdgeType("preprocess", "thinker", "prompt", "prompt"),
    EdgeType("preprocess", "audio-encoder", "audio", "audio"),
    EdgeType("preprocess", "vision-encoder", "vision", "vision"),
    EdgeType("audio-encoder", "thinker", "embeds", "audio"),
    EdgeType("vision-encoder", "thinker", "embeds", "vision"),
    EdgeType("thinker", "talker", "speech", "speech"),
)


def stages_of(package: str) -> tuple[StageType, ...]:
    """`package`: whose modules have the programs, in the order of a walk."""
    return (
        _preprocess(f"{package}.preprocess:Preprocess"),
        _encoder("audio", 128, frozenset({"audio"}), f"{package}.encoders:AudioEncoder", "Makes embeddings of sound."),
        _encoder(
            "vision",
            512,
            frozenset({"image", "video"}),
            f"{package}.encoders:VisionEncoder",
            "Makes embeddings of images and of the pictures of videos.",
        ),
        StageType(
            name="thinker",
            program=f"{package}.thinker:Thinker",
            accepts={"prompt": _PROMPT, "audio": _EMBEDS, "vision": _EMBEDS},
            emits={"text": _TEXT, "speech": _SPEECH},
            engine=EngineKind.AUTOREGRESSIVE,
            placement=Placement.THREAD,
            help="The language model: writes the answer, and hands the talker what to say as it is written.",
        ),
        StageType(
            name="talker",
            program=f"{package}.talker:Talker",
            accepts={"speech": _SPEECH},
            emits={"codes": CODES},
            engine=EngineKind.AUTOREGRESSIVE,
            placement=Placement.THREAD,
            help="Speaks: makes the codes of the waveform while the text is still being written.",
        ),
    )


def _preprocess(program: str) -> StageType:
    return StageType(
        name="preprocess",
        program=program,
        accepts={"request": _REQUEST},
        emits={"prompt": _PROMPT, "audio": _FEATURES, "vision": _FEATURES},
        params={
            "chat_template": ParamType(
                str, "", "Path of a Jinja file to use in place of the model's own chat template."
            ),
            "video_fps": ParamType(
                float, 2.0, "Frames taken from a second of video, where the request does not say.", 0.1, 120
            ),
            "video_max_frames": ParamType(
                int, 96, "Frames taken from one video at most, where the request does not say.", 2, 4096
            ),
            "image_max_pixels": ParamType(
                int,
                2 << 20,
                "Images with more are made smaller, where the request does not say; 1024 pixels are a token.",
                1024,
                1 << 26,
            ),
            "video_total_pixels": ParamType(
                int,
                8 << 20,
                "Pixels of all frames of one video, where the request does not say; 2048 pixels are a token.",
                1024,
                1 << 30,
            ),
            "max_features_mb": ParamType(
                int,
                192,
                "Megabytes of features that one request may bring: less than spec.transport.maxMessageBytes.",
                1,
                1 << 20,
            ),
            "cache_mb": _cache(256, "features"),
        },
        placement=Placement.THREAD,
        max_batch=16,
        help="Renders the prompt; decodes media and makes features of them.",
    )


def _encoder(port: str, cache_mb: int, inputs: frozenset[str], program: str, what: str) -> StageType:
    return StageType(
        name=f"{port}-encoder",
        program=program,
        accepts={port: _FEATURES},
        emits={"embeds": _EMBEDS},
        params={"dtype": DTYPE, "cache_mb": _cache(cache_mb, "embeddings")},
        placement=Placement.THREAD,
        max_batch=16,
        needs_input=inputs,
        help=what,
    )


def _cache(megabytes: int, what: str) -> ParamType:
    help_text = f"Megabytes of {what} kept, so that media that come again are not computed again; 0: none."
    return ParamType(int, megabytes, help_text, 0, 1 << 20)
