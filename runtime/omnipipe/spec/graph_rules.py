"""What must hold of a whole graph, whoever drew it: no cycle, every input fed once, nothing computed for nobody."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from omnipipe.spec.errors import PathKey, Problem, dotted
from omnipipe.spec.graph import ENTRY_INPUT, Graph, GraphEdge, GraphStage, find_cycles, reach

__all__ = ["Places", "check_graph"]

_STAGES: PathKey = ("spec", "stages")


@dataclass(slots=True)
class Places:
    """Where in the manifest the parts of the graph stand, and what could not be made out, so that the rules stay
    silent about what follows from a mistake that has already been reported."""

    everything: PathKey | None = None
    """The one place of a graph that is not spelled out in the manifest."""
    stages: dict[str, PathKey] = field(default_factory=dict)
    edges: list[PathKey] = field(default_factory=list)
    """One for each edge of the graph."""
    links: list[tuple[PathKey, str, str]] = field(default_factory=list)
    """Every edge between two different stages that are there, also one whose ports do not fit."""
    doubtful: set[str] = field(default_factory=set)
    """Stages with an edge that could not be made out."""
    answering: set[str] = field(default_factory=set)
    """Stages that an output names, rightly or wrongly."""
    unknown: bool = False
    """An edge or output names a stage that is not there: what is reachable cannot be told."""

    def stage(self, name: str) -> PathKey:
        return self.everything or self.stages.get(name, _STAGES)

    def edge(self, index: int) -> PathKey:
        return self.everything or self.edges[index]


def check_graph(graph: Graph, places: Places) -> list[Problem]:
    cycles = list(_cycles(graph, places))
    looping = {name for cycle, _ in cycles for name in cycle}
    return [
        *(problem for _, problem in cycles),
        *_fed_twice(graph, places),
        *_unfed(graph, places),
        *_unreachable(graph, places, looping | places.doubtful | _starved(graph)),
    ]


def _cycles(graph: Graph, places: Places) -> Iterator[tuple[tuple[str, ...], Problem]]:
    links = [(source, target) for _, source, target in places.links]
    names = dict.fromkeys([stage.name for stage in graph.stages] + [name for link in links for name in link])
    for cycle in find_cycles(list(names), links):
        path, _, _ = places.links[links.index((cycle[-2], cycle[-1]))]
        yield cycle, Problem(path, f"closes a cycle: {' -> '.join(cycle)}")


def _fed_twice(graph: Graph, places: Places) -> Iterator[Problem]:
    first: dict[tuple[str, str], tuple[int, GraphEdge]] = {}
    for index, edge in enumerate(graph.edges):
        at, earlier = first.setdefault((edge.target, edge.input), (index, edge))
        if at == index:
            continue
        path = places.edge(index)
        where = "" if places.everything else f" ({dotted(places.edge(at))})"
        if (earlier.source, earlier.port) == (edge.source, edge.port):
            yield Problem(path, f"is there already{where}: {edge.source}.{edge.port} -> {edge.target}.{edge.input}")
        else:
            yield Problem(
                path, f'input "{edge.input}" of stage "{edge.target}" is already fed by "{earlier.source}"{where}'
            )


def _missing(stage: GraphStage, graph: Graph) -> list[str]:
    fed = {edge.input for edge in graph.edges if edge.target == stage.name}
    return [name for name in stage.type.accepts if name != ENTRY_INPUT and name not in fed]


def _starved(graph: Graph) -> set[str]:
    return {stage.name for stage in graph.stages if _missing(stage, graph)}


def _unfed(graph: Graph, places: Places) -> Iterator[Problem]:
    for stage in graph.stages:
        if stage.name in places.doubtful or stage.is_entry:
            continue
        for name in _missing(stage, graph):
            port = stage.type.accepts[name]
            yield Problem(
                places.stage(stage.name), f'nobody feeds input "{name}" ({port.type}, {port.kind}) of "{stage.name}"'
            )


def _unreachable(graph: Graph, places: Places, explained: set[str]) -> Iterator[Problem]:
    """`explained`: stages whose lack of an entry has been reported in other words; what they feed goes with them."""
    if places.unknown or not graph.stages:
        return
    entries = [stage.name for stage in graph.stages if stage.is_entry]
    if not entries:
        yield Problem(places.everything or _STAGES, f'no stage takes the client\'s request (an input "{ENTRY_INPUT}")')
    links = [(source, target) for _, source, target in places.links]
    from_entry = reach([*entries, *explained], links)
    answering = places.answering | {output.stage for output in graph.outputs}
    to_output = reach(answering, [(target, source) for source, target in links])
    for stage in graph.stages:
        if entries and stage.name not in from_entry:
            yield Problem(places.stage(stage.name), f'"{stage.name}" cannot be reached from an entry stage')
        if answering and stage.name not in to_output:
            yield Problem(places.stage(stage.name), f'"{stage.name}" leads to no output: nobody would see its work')
