"""The graph of the qwen2_5_omni family: the stages of qwen3_omni, with programs of its own and another vocoder."""

from dataclasses import replace

from omnipipe.families.qwen3_omni import graph as newer
from omnipipe.spec.family import EdgeType, OutputType, ParamType, PortType, StageType
from omnipipe.spec.plan import EdgeKind, Placement

__all__ = ["FAMILY"]

_PACKAGE = "omnipipe.families.qwen2_5_omni"
_PROGRAMS = {
    "preprocess": "preprocess:Preprocess",
    "audio-encoder": "encoders:AudioEncoder",
    "vision-encoder": "encoders:VisionEncoder",
    "thinker": "thinker:Thinker",
    "talker": "talker:Talker",
}
_CODES = PortType("codes", EdgeKind.STREAM)
_AUDIO = PortType("audio", EdgeKind.STREAM)

_TOKEN2WAV = StageType(
    name="token2wav",
    program=f"{_PACKAGE}.token2wav:Token2Wav",
    accepts={"codes": _CODES},
    emits={"audio": _AUDIO},
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


def _stages() -> tuple[StageType, ...]:
    alike = [
        replace(stage, program=f"{_PACKAGE}.{_PROGRAMS[stage.name]}")
        for stage in newer.FAMILY.stages
        if stage.name in _PROGRAMS
    ]
    return (*alike, _TOKEN2WAV)


FAMILY = replace(
    newer.FAMILY,
    name="qwen2_5_omni",
    title="Qwen2.5-Omni: text, images, sound and video in, text and speech out",
    stages=_stages(),
    edges=(*newer.FAMILY.edges[:-1], EdgeType("talker", "token2wav", "codes", "codes")),
    outputs=(OutputType("text", "thinker", "text"), OutputType("audio", "token2wav", "audio")),
    requests=f"{_PACKAGE}.requests:Qwen25OmniRequests",
)
