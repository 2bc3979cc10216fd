"""The graph of the echo family: static data, the first file to read when writing a family of one's own."""

from omnipipe.spec.family import EdgeType, Family, OutputType, ParamType, PortType, StageType
from omnipipe.spec.plan import EdgeKind

__all__ = ["FAMILY", "KNOBS"]

_STAGES = "omnipipe.families.echo.stages"

_DAY_MS = 86_400_000

KNOBS: dict[str, ParamType] = {
    "delay_ms": ParamType(
        float, 0.0, "Milliseconds to wait before each chunk or answer, without holding up others.", 0, _DAY_MS
    ),
    "block_ms": ParamType(
        float, 0.0, "Milliseconds to block the whole engine step before each chunk or answer.", 0, _DAY_MS
    ),
    "fail": ParamType(
        str,
        "",
        "Fail: request, as a stage that refuses this request does, or error, as a bug does.",
        choices=("", "request", "error"),
    ),
    "fail_after": ParamType(int, 0, "Chunks or answers to give before `fail`.", 0, 1 << 30),
    "crash": ParamType(bool, False, "End the stage process at once, with exit code 13."),
    "crash_after": ParamType(int, 0, "Chunks or answers to give before `crash`.", 0, 1 << 30),
}
"""What any echo stage can be told, in `spec.stages[].params` for all requests and in `stage_params` for one."""

_COUNT = ParamType(int, 0, "Chunks to emit in place of the words; 0: the words.", 0, 1_000_000)
_TEXT_SIZES = {"chunks": _COUNT, "chunk_bytes": ParamType(int, 8, "With `chunks`: characters in each.", 1, 64 << 20)}
_AUDIO_SIZES = {
    "chunks": _COUNT,
    "chunk_bytes": ParamType(int, 4800, "With `chunks`: bytes of silence in each.", 2, 64 << 20, multiple_of=2),
}

_PROMPT = PortType("json", EdgeKind.PAYLOAD)
_PIECES = PortType("json", EdgeKind.PAYLOAD)
_PITCHES = PortType("json", EdgeKind.PAYLOAD)
_NOTES = PortType("json", EdgeKind.STREAM)
_TEXT = PortType("text", EdgeKind.STREAM)
_AUDIO = PortType("audio", EdgeKind.STREAM)

FAMILY = Family(
    name="echo",
    title="Says the last user message again, in text and in tones; for trying things out and for tests",
    stages=(
        StageType(
            name="ingest",
            program=f"{_STAGES}:Ingest",
            accepts={"request": _PROMPT},
            emits={"prompt": _PROMPT},
            params=KNOBS,
            help="Takes the request in and hands the prompt to both branches.",
        ),
        StageType(
            name="words",
            program=f"{_STAGES}:Words",
            accepts={"prompt": _PROMPT},
            emits={"pieces": _PIECES},
            params=KNOBS,
            help="Cuts the answer into words, up to max_tokens or a stop string.",
        ),
        StageType(
            name="pitch",
            program=f"{_STAGES}:Pitch",
            accepts={"prompt": _PROMPT},
            emits={"pitches": _PITCHES},
            params=KNOBS,
            help="Gives each word a tone of a pentatonic scale.",
        ),
        StageType(
            name="compose",
            program=f"{_STAGES}:Compose",
            accepts={"pieces": _PIECES, "pitches": _PITCHES},
            emits={"text": _TEXT, "notes": _NOTES},
            params=KNOBS | _TEXT_SIZES,
            help="Waits for both branches, then emits a word and a note at a time.",
        ),
        StageType(
            name="synth",
            program=f"{_STAGES}:Synth",
            accepts={"notes": _NOTES},
            emits={"audio": _AUDIO},
            params=KNOBS | _AUDIO_SIZES,
            help="Turns each note into a short audible tone, 24 kHz mono 16 bit.",
        ),
    ),
    edges=(
        EdgeType("ingest", "words", "prompt", "prompt"),
        EdgeType("ingest", "pitch", "prompt", "prompt"),
        EdgeType("words", "compose", "pieces", "pieces"),
        EdgeType("pitch", "compose", "pitches", "pitches"),
        EdgeType("compose", "synth", "notes", "notes"),
    ),
    outputs=(OutputType("text", "compose", "text"), OutputType("audio", "synth", "audio")),
    requests="omnipipe.families.echo.requests:EchoRequests",
    needs_source=False,
    sources=(),
)
