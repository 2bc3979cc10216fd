"""A manifest's stages, edges and outputs as a typed graph: the family's own with overrides, or one that the manifest
spells out."""

from collections.abc import Iterable

from omnipipe.spec.errors import PathKey, Problem
from omnipipe.spec.family import Family
from omnipipe.spec.graph import Graph, GraphStage
from omnipipe.spec.graph_rules import check_graph
from omnipipe.spec.manifest import EdgeSpec, PipelineSpec
from omnipipe.spec.rules import check_draft, check_engine, check_params
from omnipipe.spec.suggest import meant
from omnipipe.spec.wiring import EdgeWish, OutputWish, Wiring

__all__ = ["resolve"]

_FAMILY: PathKey = ("spec", "model", "family")


def resolve(spec: PipelineSpec, family: Family) -> tuple[Graph, list[Problem]]:
    """The graph, and all that is wrong with it; with problems the graph is what could be made out."""
    wiring = Wiring(family)
    if spec.edges is None:
        _take_family(wiring, spec)
    else:
        _take_custom(wiring, spec, spec.edges)
    stages = tuple(GraphStage(name, kind) for name, kind in wiring.stages.items() if kind is not None)
    graph = Graph(stages, tuple(wiring.edges), tuple(wiring.outputs))
    return graph, [*wiring.problems, *check_graph(graph, wiring.places)]


def _take_family(wiring: Wiring, spec: PipelineSpec) -> None:
    family = wiring.family
    wiring.stages = {kind.name: kind for kind in family.stages}
    wiring.places.everything = _FAMILY
    for index, stage in enumerate(spec.stages):
        path = ("spec", "stages", index)
        if _is_repeated(wiring, spec, index):
            continue
        kind = family.stage(stage.name)
        if kind is None:
            hint = meant(stage.name, wiring.stages)
            wiring.say((*path, "name"), f'the {family.name} family has no stage "{stage.name}"{hint}')
            continue
        if stage.type is not None and stage.type != stage.name:
            wiring.say((*path, "type"), "only a graph of your own (spec.edges) gives a stage another type; remove it")
        wiring.problems += check_params(stage.params, kind, path)
        wiring.problems += check_engine(stage.engine, kind, path)
        wiring.problems += check_draft(stage.draft, kind, family, path)
    if spec.outputs is not None:
        wiring.say(("spec", "outputs"), "belongs to a graph of your own: give spec.edges too, or remove it")
    for edge in family.edges:
        wiring.add_edge(EdgeWish(edge.source, edge.target, edge.port, edge.input), _FAMILY)
    if not family.outputs:
        wiring.say(_FAMILY, f"the {family.name} family has no output: nobody would see its work")
    for output in family.outputs:
        wiring.add_output(OutputWish(output.name, output.stage, output.port), _FAMILY)


def _take_custom(wiring: Wiring, spec: PipelineSpec, edges: Iterable[EdgeSpec]) -> None:
    _take_stages(wiring, spec)
    if not spec.stages:
        wiring.say(("spec", "stages"), "is required with spec.edges: the stages listed are the whole graph")
    for index, edge in enumerate(edges):
        wish = EdgeWish(edge.source, edge.target, edge.port, edge.input, edge.window_chunks, edge.window_bytes)
        wiring.add_edge(wish, ("spec", "edges", index))
    if spec.outputs is None:
        wiring.say(("spec", "outputs"), "is required with spec.edges: what does the pipeline answer with?")
    for index, output in enumerate(spec.outputs or ()):
        wiring.add_output(OutputWish(output.name, output.stage, output.port), ("spec", "outputs", index))


def _take_stages(wiring: Wiring, spec: PipelineSpec) -> None:
    family = wiring.family
    types = [kind.name for kind in family.stages]
    for index, stage in enumerate(spec.stages):
        path = ("spec", "stages", index)
        if _is_repeated(wiring, spec, index):
            continue
        name = stage.type if stage.type is not None else stage.name
        kind = family.stage(name)
        wiring.stages[stage.name] = kind
        wiring.places.stages[stage.name] = path
        if kind is not None:
            wiring.problems += check_params(stage.params, kind, path)
            wiring.problems += check_engine(stage.engine, kind, path)
            wiring.problems += check_draft(stage.draft, kind, family, path)
            continue
        key = "name" if stage.type is None else "type"
        more = " (without `type`, a stage's name is its type)" if stage.type is None else ""
        wiring.say((*path, key), f'the {family.name} family has no stage type "{name}"{more}{meant(name, types)}')


def _is_repeated(wiring: Wiring, spec: PipelineSpec, index: int) -> bool:
    name = spec.stages[index].name
    first = next(i for i, stage in enumerate(spec.stages) if stage.name == name)
    if first != index:
        wiring.say(("spec", "stages", index, "name"), f'"{name}" is already the name of spec.stages[{first}]')
    return first != index
