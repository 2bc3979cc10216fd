"""The graph of a pipeline and the questions asked of it: cycles, what an entry reaches, what reaches an output.

Pure functions over names; `resolve` makes a `Graph` of a manifest and says what is wrong with it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from omnipipe.spec.family import StageType
from omnipipe.spec.plan import EdgeKind

__all__ = ["ENTRY_INPUT", "Graph", "GraphEdge", "GraphOutput", "GraphStage", "find_cycles", "reach"]

ENTRY_INPUT = "request"
"""The input that the gateway feeds; a stage whose type accepts it is an entry."""


@dataclass(frozen=True, slots=True)
class GraphStage:
    name: str
    type: StageType

    @property
    def is_entry(self) -> bool:
        return ENTRY_INPUT in self.type.accepts


@dataclass(frozen=True, slots=True)
class GraphEdge:
    source: str
    target: str
    port: str
    input: str
    kind: EdgeKind
    type: str
    window_chunks: int | None = None
    """None: the Plan's default."""
    window_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class GraphOutput:
    name: str
    stage: str
    port: str
    type: str


@dataclass(frozen=True, slots=True)
class Graph:
    stages: tuple[GraphStage, ...]
    edges: tuple[GraphEdge, ...]
    outputs: tuple[GraphOutput, ...]


def reach(starts: Iterable[str], links: Iterable[tuple[str, str]]) -> set[str]:
    """Everything that can be got to from `starts`, themselves included."""
    following: dict[str, list[str]] = {}
    for source, target in links:
        following.setdefault(source, []).append(target)
    seen = set(starts)
    todo = list(seen)
    while todo:
        for name in following.get(todo.pop(), ()):
            if name not in seen:
                seen.add(name)
                todo.append(name)
    return seen


def find_cycles(names: Sequence[str], links: Iterable[tuple[str, str]]) -> list[tuple[str, ...]]:
    """Cycles as `(a, b, c, a)`: one for each link that closes a loop in a depth-first walk in the order given, so
    that none of the result means there is no cycle at all. Self loops are left to the caller."""
    following: dict[str, list[str]] = {name: [] for name in names}
    for source, target in dict.fromkeys(links):
        if source != target and source in following and target in following:
            following[source].append(target)
    cycles: list[tuple[str, ...]] = []
    done: set[str] = set()
    for name in names:
        if name not in done:
            _walk(name, following, done, cycles)
    return cycles


def _walk(start: str, following: Mapping[str, Sequence[str]], done: set[str], cycles: list[tuple[str, ...]]) -> None:
    """Depth first without recursion; `trail` is the way from `start` to here."""
    trail = [start]
    onward = [iter(following[start])]
    while trail:
        target = next(onward[-1], None)
        if target is None:
            done.add(trail.pop())
            onward.pop()
        elif target in trail:
            cycles.append((*trail[trail.index(target) :], target))
        elif target not in done:
            trail.append(target)
            onward.append(iter(following[target]))
