"""The graph of the qwen3_omni family: the stages that such models have in common, and its own vocoder."""

from omnipipe.families.omni_parts.graph import AUDIO, CODES, DTYPE, EDGES, SOURCES, stages_of
from omnipipe.spec.family import EdgeType, Family, OutputType, ParamType, StageType
from omnipipe.spec.plan import Placement

__all__ = ["FAMILY"]

_PACKAGE = "omnipipe.families.qwen3_omni"

_CODE2WAV = StageType(
    name="code2wav",
    program=f"{_PACKAGE}.code2wav:Code2Wav",
    accepts={"codes": CODES},
    emits={"audio": AUDIO},
    params={
        "dtype": DTYPE,
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
)

FAMILY = Family(
    name="qwen3_omni",
    title="Qwen3-Omni: text, images, sound and video in, text and speech out",
    stages=(*stages_of(_PACKAGE), _CODE2WAV),
    edges=(*EDGES, EdgeType("talker", "code2wav", "codes", "codes")),
    outputs=(OutputType("text", "thinker", "text"), OutputType("audio", "code2wav", "audio")),
    requests=f"{_PACKAGE}.requests:Qwen3OmniRequests",
    sources=SOURCES,
)
