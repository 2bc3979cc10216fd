"""The graph of the qwen3_omni family: seven stages, of which a request walks those that it needs."""

from omnipipe.spec.family import EdgeType, Family, OutputType, ParamType, PortType, StageType
from omnipipe.spec.plan import EdgeKind, EngineKind, Placement

__all__ = ["FAMILY"]

_PACKAGE = "omnipipe.families.qwen3_omni"

_REQUEST = PortType("json", EdgeKind.PAYLOAD)
_PROMPT = PortType("prompt", EdgeKind.PAYLOAD)
_FEATURES = PortType("features", EdgeKind.PAYLOAD)
_EMBEDS = PortType("embeds", EdgeKind.PAYLOAD)
_SPEECH = PortType("speech", EdgeKind.STREAM)
_CODES = PortType("codes", EdgeKind.STREAM)
_TEXT = PortType("text", EdgeKind.STREAM)
_AUDIO = PortType("audio", EdgeKind.STREAM)

_DTYPE = ParamType(
    str,
    "auto",
    "What the encoder computes in; auto: what suits the hardware.",
    choices=("auto", "float32", "bfloat16", "float16"),
)


def _cache(megabytes: int, what: str) -> ParamType:
    help_text = f"Megabytes of {what} kept, so that media that come again are not computed again; 0: none."
    return ParamType(int, megabytes, help_text, 0, 1 << 20)


FAMILY = Family(
    name="qwen3_omni",
    title="Qwen3-Omni: text, images, sound and video in, text and speech out",
    stages=(
        StageType(
            name="preprocess",
            program=f"{_PACKAGE}.preprocess:Preprocess",
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
        ),
        StageType(
            name="audio-encoder",
            program=f"{_PACKAGE}.encoders:AudioEncoder",
            accepts={"audio": _FEATURES},
            emits={"embeds": _EMBEDS},
            params={"dtype": _DTYPE, "cache_mb": _cache(128, "embeddings")},
            placement=Placement.THREAD,
            max_batch=16,
            needs_input=frozenset({"audio"}),
            help="Makes embeddings of sound.",
        ),
        StageType(
            name="vision-encoder",
            program=f"{_PACKAGE}.encoders:VisionEncoder",
            accepts={"vision": _FEATURES},
            emits={"embeds": _EMBEDS},
            params={"dtype": _DTYPE, "cache_mb": _cache(512, "embeddings")},
            placement=Placement.THREAD,
            max_batch=16,
            needs_input=frozenset({"image", "video"}),
            help="Makes embeddings of images and of the pictures of videos.",
        ),
        StageType(
            name="thinker",
            program=f"{_PACKAGE}.thinker:Thinker",
            accepts={"prompt": _PROMPT, "audio": _EMBEDS, "vision": _EMBEDS},
            emits={"text": _TEXT, "speech": _SPEECH},
            engine=EngineKind.AUTOREGRESSIVE,
            placement=Placement.THREAD,
            help="The language model: writes the answer, and hands the talker what to say as it is written.",
        ),
        StageType(
            name="talker",
            program=f"{_PACKAGE}.talker:Talker",
            accepts={"speech": _SPEECH},
            emits={"codes": _CODES},
            engine=EngineKind.AUTOREGRESSIVE,
            placement=Placement.THREAD,
            help="Speaks: makes the codes of the waveform while the text is still being written.",
        ),
        StageType(
            name="code2wav",
            program=f"{_PACKAGE}.code2wav:Code2Wav",
            accepts={"codes": _CODES},
            emits={"audio": _AUDIO},
            params={
                "dtype": _DTYPE,
                "first_chunk_frames": ParamType(
                    int, 1, "Frames (80 ms of sound each) in the first piece of sound: how soon it leaves.", 1, 256
                ),
                "chunk_frames": ParamType(
                    int, 25, "Frames in a later piece at most; larger ones cost less computing.", 1, 1024
                ),
            },
            placement=Placement.THREAD,
            max_batch=32,
            help="Makes the waveform of the codes, 24 kHz mono 16 bit, as they come.",
        ),
    ),
    edges=(
        EdgeType("preprocess", "thinker", "prompt", "prompt"),
        EdgeType("preprocess", "audio-encoder", "audio", "audio"),
        EdgeType("preprocess", "vision-encoder", "vision", "vision"),
        EdgeType("audio-encoder", "thinker", "embeds", "audio"),
        EdgeType("vision-encoder", "thinker", "embeds", "vision"),
        EdgeType("thinker", "talker", "speech", "speech"),
        EdgeType("talker", "code2wav", "codes", "codes"),
    ),
    outputs=(OutputType("text", "thinker", "text"), OutputType("audio", "code2wav", "audio")),
    requests=f"{_PACKAGE}.requests:Qwen3OmniRequests",
    sources=("hf", "file", "pvc", "builtin"),
)
