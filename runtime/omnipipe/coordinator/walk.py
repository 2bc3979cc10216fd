"""Which stages and edges one request needs. Pure: no replicas, no clock, nothing of the wire.

Backwards from the outputs asked for, over the edges; a stage with `needs_input` is left out, and its edges with it,
when the request brings none of those modalities. What has no source left is an entry stage and gets the request's
value.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from omnipipe.errors import ErrorKind, RequestError
from omnipipe.spec.plan import Plan, PlanOutput, PlanStage

__all__ = ["Walk", "WalkOutput", "WalkStage", "Walks", "choose_walk"]

MAX_CACHED_WALKS = 1024
"""A pipeline has a handful of modalities; whoever sends more sets than this gets theirs computed each time."""
CHUNKS_AN_ACK = 32
"""At most this many small pieces wait for one Ack, whatever the window: it bounds how much credit lies idle."""
ROOM_A_CHUNK_BYTES = 2048
"""Windows with less than this a piece are acknowledged piece by piece: there, what a piece weighs beside its text
counts."""


@dataclass(frozen=True, slots=True)
class WalkOutput:
    """A requested output, and how its credit is given back."""

    name: str
    stage: str
    window: int
    """Pieces on the way before the sender pauses."""
    ack_every: int
    """Small pieces to one Ack."""
    light_chars: int
    """Text up to this length (4 bytes a character at worst) cannot fill half of the byte window before the next Ack is
    due by count. Anything else is acknowledged as soon as the reader has it."""


@dataclass(frozen=True, slots=True)
class WalkStage:
    """One stage's own part. The lists go into messages as they are: never change them."""

    name: str
    sources: list[str]
    """Upstream stages whose edge into this one is active; none: an entry stage."""
    targets: list[str]
    outputs: list[str]
    """Requested outputs that this stage owes the gateway."""
    frees: list[str]
    """Sources that work for this stage alone: once it has all its inputs they have done all they had to do."""


@dataclass(frozen=True, slots=True, eq=False)
class Walk:
    stages: tuple[WalkStage, ...]
    """Each after its sources."""
    outputs: tuple[WalkOutput, ...]
    by_name: dict[str, WalkStage]
    sinks: frozenset[str]
    """Stages that take something and feed nobody: when these have all their inputs, every stage has done its part."""


class Walks:
    """The walks of one plan, each computed once."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._cache: dict[tuple[frozenset[str], frozenset[str]], Walk] = {}

    def choose(self, outputs: frozenset[str], inputs: frozenset[str]) -> Walk:
        """Raises RequestError(UNPROCESSABLE) as `choose_walk` does."""
        key = (outputs, inputs)
        walk = self._cache.get(key)
        if walk is None:
            walk = choose_walk(self._plan, outputs, inputs)
            if len(self._cache) < MAX_CACHED_WALKS:
                self._cache[key] = walk
        return walk


def choose_walk(plan: Plan, outputs: frozenset[str], inputs: frozenset[str]) -> Walk:
    """Raises RequestError(UNPROCESSABLE): an output that the pipeline does not have, or not for these inputs."""
    wanted = _wanted(plan, outputs)
    present = {stage.name for stage in plan.stages if not stage.needs_input or stage.needs_input & inputs}
    for output in wanted:
        if output.stage not in present:
            needs = _listed(plan.stage(output.stage).needs_input, "or")
            raise _unprocessable(f"The output '{output.name}' needs a request that brings {needs}.")
    needed = _backwards(plan, {output.stage for output in wanted}, present)
    stages = tuple(_part(plan, stage.name, needed, wanted) for stage in _in_order(plan, needed))
    return Walk(
        stages,
        tuple(map(_credited, wanted)),
        {part.name: part for part in stages},
        frozenset(part.name for part in stages if part.sources and not part.targets),
    )


def _wanted(plan: Plan, outputs: frozenset[str]) -> tuple[PlanOutput, ...]:
    known = {output.name for output in plan.outputs}
    has = f"this pipeline has {_listed(known, 'and')}"
    if not outputs:
        raise _unprocessable(f"At least one output modality is needed; {has}.")
    if unknown := sorted(outputs - known):
        raise _unprocessable(f"There is no output modality '{unknown[0]}'; {has}.")
    return tuple(output for output in plan.outputs if output.name in outputs)


def _backwards(plan: Plan, start: set[str], present: set[str]) -> set[str]:
    needed, frontier = set(start), set(start)
    while frontier:
        frontier = {e.source for e in plan.edges if e.target in frontier and e.source in present} - needed
        needed |= frontier
    return needed


def _in_order(plan: Plan, needed: set[str]) -> list[PlanStage]:
    """Sources first, otherwise as the plan lists them. The compiler has refused cycles."""
    left = [stage for stage in plan.stages if stage.name in needed]
    ordered: list[PlanStage] = []
    while left:
        waiting = {stage.name for stage in left}
        blocked = {edge.target for edge in plan.edges if edge.source in waiting}
        free = [stage for stage in left if stage.name not in blocked] or left
        ordered += free
        left = [stage for stage in left if stage not in free]
    return ordered


def _part(plan: Plan, name: str, needed: set[str], wanted: tuple[PlanOutput, ...]) -> WalkStage:
    edges = [edge for edge in plan.edges if edge.source in needed and edge.target in needed]
    sources = _unique(edge.source for edge in edges if edge.target == name)
    busy_elsewhere = {edge.source for edge in edges if edge.target != name} | {output.stage for output in wanted}
    return WalkStage(
        name=name,
        sources=sources,
        targets=_unique(edge.target for edge in edges if edge.source == name),
        outputs=[output.name for output in wanted if output.stage == name],
        frees=[source for source in sources if source not in busy_elsewhere],
    )


def _credited(output: PlanOutput) -> WalkOutput:
    chunks, nbytes = output.window_chunks, output.window_bytes
    ack_every = max(1, min(chunks // 2, CHUNKS_AN_ACK, nbytes // ROOM_A_CHUNK_BYTES))
    return WalkOutput(output.name, output.stage, chunks, ack_every, nbytes // (16 * ack_every))


def _unique(names: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(names))


def _listed(names: Iterable[str], word: str) -> str:
    *head, tail = sorted(names)
    return f"{', '.join(head)} {word} {tail}" if head else tail


def _unprocessable(message: str) -> RequestError:
    return RequestError(ErrorKind.UNPROCESSABLE, message, param="modalities")
