"""The graph of the qwen2_5_omni family: the stages that such models have in common, and its own vocoder."""

from omnipipe.families.omni_parts.graph import AUDIO, CODES, EDGES, SOURCES, stages_of
from omnipipe.spec.family import EdgeType, Family, OutputType, ParamType, StageType
from omnipipe.spec.plan import Placement

__all__ = ["FAMILY"]

_PACKAGE = "omnipipe.families.qwen2_5_omni"

_TOKEN2WAV = StageType(
    name="token2wav",
    program=f"{_PACKAGE}.token2wav:Token2Wav",
    accepts={"codes": CODES},
    emits={"audio": AUDIO},
    params={
        "section_blocks": ParamType(
            int,
            36,
            "Blocks of sound (0.24 s in the published model) in a piece of a long speech. A piece needs the codes of "
            "36 blocks behind it: only what is spoken for longer than both together is heard before its end. Smaller "
            "ones begin earlier and cost more computing.",
            1,
            1024,
        ),
    },
    placement=Placement.THREAD,
    max_batch=8,
    help="Makes the waveform of the codes, 24 kHz mono 16 bit, in pieces as long as the model's look ahead.",
)

FAMILY = Family(
    name="qwen2_5_omni",
    title="Qwen2.5-Omni: text, images, sound and video in, text and speech out",
    stages=(*stages_of(_PACKAGE), _TOKEN2WAV),
    edges=(*EDGES, EdgeType("talker", "token2wav", "codes", "codes")),
    outputs=(OutputType("text", "thinker", "text"), OutputType("audio", "token2wav", "audio")),
    requests=f"{_PACKAGE}.requests:Qwen25OmniRequests",
    sources=SOURCES,
)
