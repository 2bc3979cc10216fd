"""What a model family declares, as static data: no torch, no I/O, nothing read at import.

A family is a folder `families/<name>/` with `graph.py` (a `FAMILY` of this type), `stages.py` (the programs, imported
by stage processes alone) and `requests.py` (how a client's request becomes the entry stages' value). Others are found
through the entry point group `omnipipe.families`, so that a family can ship in a package of its own. The types live
here, below the families, because the compiler merges them with a manifest.
"""

from dataclasses import dataclass, field

from omnipipe.spec.plan import EdgeKind, EngineKind, Placement

__all__ = ["EdgeType", "Family", "OutputType", "ParamType", "PortType", "StageType"]


@dataclass(frozen=True, slots=True)
class PortType:
    """One thing that a stage takes in or gives out."""

    type: str
    """`text`, `json`, `tensor`, `audio`, ...: both ends of an edge must agree."""
    kind: EdgeKind


@dataclass(frozen=True, slots=True)
class ParamType:
    """An option of a stage type (`spec.stages[].params`)."""

    type: type[int] | type[float] | type[str] | type[bool]
    default: int | float | str | bool
    help: str
    minimum: float | None = None
    maximum: float | None = None
    multiple_of: int | None = None
    choices: tuple[str, ...] = ()
    """Of a string: the closed set it comes from; empty: any."""


@dataclass(frozen=True, slots=True)
class StageType:
    name: str
    program: str
    """`module:Class`."""
    accepts: dict[str, PortType]
    """Inputs. An entry stage accepts `request`."""
    emits: dict[str, PortType]
    params: dict[str, ParamType] = field(default_factory=dict)
    engine: EngineKind = EngineKind.BATCH
    placement: Placement = Placement.INLINE
    max_batch: int = 32
    max_wait_ms: float = 0.0
    needs_input: frozenset[str] = frozenset()
    """The stage takes part only in requests that bring one of these modalities; empty: in all."""
    help: str = ""


@dataclass(frozen=True, slots=True)
class EdgeType:
    source: str
    target: str
    port: str
    input: str


@dataclass(frozen=True, slots=True)
class OutputType:
    name: str
    """The modality a client asks for: `text`, `audio`."""
    stage: str
    port: str


@dataclass(frozen=True, slots=True)
class Family:
    name: str
    title: str
    stages: tuple[StageType, ...]
    """In this order they are also the default graph's stages, each once, under its type's name."""
    edges: tuple[EdgeType, ...]
    outputs: tuple[OutputType, ...]
    requests: str
    """`module:Class` of the `requests.Requests` of this family (torch-free; imported by the gateway)."""
    needs_source: bool = True
    """Whether `spec.model.source` must be given, or must not."""
    sources: tuple[str, ...] = ("hf", "file", "pvc", "s3", "oci", "builtin")
    """The source schemes it can load."""

    def stage(self, name: str) -> StageType | None:
        return next((s for s in self.stages if s.name == name), None)
