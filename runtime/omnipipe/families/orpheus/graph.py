"""The graph of the orpheus family: a language model that speaks in codes, and the codec that makes them sound."""

from typing import Final

from omnipipe.spec.family import EdgeType, Family, OutputType, ParamType, PortType, StageType
from omnipipe.spec.plan import EdgeKind, EngineKind, Placement

__all__ = ["FAMILY", "VOICES"]

VOICES: Final = ("tara", "leah", "jess", "leo", "dan", "mia", "zac", "zoe")
"""Those that the published model was trained with, the one that it does best first."""

_PACKAGE = "omnipipe.families.orpheus"
_CODES = PortType("codes", EdgeKind.STREAM)

FAMILY = Family(
    name="orpheus",
    title="Orpheus: speech from text in eight voices",
    stages=(
        StageType(
            name="speaker",
            program=f"{_PACKAGE}.speaker:Speaker",
            accepts={"request": PortType("json", EdgeKind.PAYLOAD)},
            emits={"codes": _CODES},
            engine=EngineKind.AUTOREGRESSIVE,
            placement=Placement.THREAD,
            help="Says the text in the codec's codes, seven tokens a frame.",
        ),
        StageType(
            name="vocoder",
            program=f"{_PACKAGE}.vocoder:Vocoder",
            accepts={"codes": _CODES},
            emits={"audio": PortType("audio", EdgeKind.STREAM)},
            params={
                "codec": ParamType(
                    str,
                    "hf://hubertsiuzdak/snac_24khz",
                    "Where the SNAC codec comes from: hf://owner/name or file:///folder.",
                ),
                "first_chunk_frames": ParamType(
                    int, 2, "Frames, of 85 ms, in the first piece of sound: fewer are heard earlier.", 1, 1000
                ),
                "chunk_frames": ParamType(int, 12, "Frames in the later ones: more cost less each.", 1, 1000),
            },
            placement=Placement.THREAD,
            max_batch=16,
            help="Makes samples of the codes as they come, 24 kHz mono 16 bit.",
        ),
    ),
    edges=(EdgeType("speaker", "vocoder", "codes", "codes"),),
    outputs=(OutputType("audio", "vocoder", "audio"),),
    requests=f"{_PACKAGE}.requests:OrpheusRequests",
    sources=("hf", "file", "pvc"),
)
