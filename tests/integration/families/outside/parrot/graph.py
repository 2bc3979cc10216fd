"""The stages as data. Nothing here is computed, and nothing but omnipipe.spec is imported."""

from omnipipe.spec.family import EdgeType, Family, OutputType, ParamType, PortType, StageType
from omnipipe.spec.plan import EdgeKind, EngineKind, Placement

__all__ = ["FAMILY"]

FAMILY = Family(
    name="parrot",
    title="A language model, shouted",
    stages=(
        StageType(
            name="writer",
            program="parrot.stages:Writer",
            accepts={"request": PortType("json", EdgeKind.PAYLOAD)},
            emits={"words": PortType("json", EdgeKind.STREAM)},
            engine=EngineKind.AUTOREGRESSIVE,
            placement=Placement.THREAD,
            help="Writes, a token at a time.",
        ),
        StageType(
            name="shouter",
            program="parrot.stages:Shouter",
            accepts={"words": PortType("json", EdgeKind.STREAM)},
            emits={"text": PortType("text", EdgeKind.STREAM)},
            params={"marks": ParamType(int, 1, "exclamation marks at the end", minimum=0, maximum=9)},
            help="Says it louder.",
        ),
    ),
    edges=(EdgeType("writer", "shouter", port="words", input="words"),),
    outputs=(OutputType("text", stage="shouter", port="text"),),
    requests="parrot.requests:ParrotRequests",
    sources=("builtin", "file", "hf"),
)
