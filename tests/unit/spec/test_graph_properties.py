"""Whatever graph is drawn: one without a cycle is accepted, one with a cycle gets a real one named."""

import re
from collections.abc import Sequence
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from omnipipe.spec.family import Family, OutputType, PortType, StageType
from omnipipe.spec.graph import find_cycles, reach
from omnipipe.spec.manifest import PipelineSpec
from omnipipe.spec.plan import EdgeKind
from omnipipe.spec.resolve import resolve

PORT = PortType("json", EdgeKind.PAYLOAD)
MOST = 8

Links = list[tuple[str, str]]


def joining(inputs: int) -> StageType:
    """A stage that waits for so many others; of none: an entry."""
    accepts = {f"in{n}": PORT for n in range(inputs)} or {"request": PORT}
    return StageType(name=f"join{inputs}", program="m:C", accepts=accepts, emits={"out": PORT})


FAMILY = Family(
    name="knots",
    title="Graphs of any shape",
    stages=tuple(joining(n) for n in range(MOST + 2)),
    edges=(),
    outputs=tuple(OutputType(f"out{n}", "join0", "out") for n in range(MOST)),
    requests="m:C",
    needs_source=False,
)


@st.composite
def graphs_without_cycles(draw: st.DrawFn) -> tuple[list[str], Links]:
    count = draw(st.integers(2, MOST))
    pairs = [(a, b) for b in range(count) for a in range(b)]
    chosen = draw(st.lists(st.sampled_from(pairs), unique=True, max_size=16))
    names = draw(st.permutations([f"s{n}" for n in range(count)]))
    links = draw(st.permutations([(names[a], names[b]) for a, b in chosen]))
    return sorted(names), list(links)


def manifest(names: Sequence[str], links: Links) -> PipelineSpec:
    fed: dict[str, int] = dict.fromkeys(names, 0)
    edges = []
    for source, target in links:
        edges.append({"from": source, "to": target, "input": f"in{fed[target]}"})
        fed[target] += 1
    ends = [name for name in names if all(source != name for source, _ in links)] or [names[0]]
    return PipelineSpec.model_validate(
        {
            "model": {"family": "knots"},
            "stages": [{"name": name, "type": f"join{fed[name]}"} for name in names],
            "edges": edges,
            "outputs": [{"name": f"out{n}", "stage": name} for n, name in enumerate(ends)],
        }
    )


@given(graphs_without_cycles())
@settings(deadline=None, max_examples=150)
def test_a_graph_without_a_cycle_is_accepted(graph: tuple[list[str], Links]) -> None:
    names, links = graph
    resolved, problems = resolve(manifest(names, links), FAMILY)

    assert problems == []
    assert [(edge.source, edge.target) for edge in resolved.edges] == links


@given(graphs_without_cycles(), st.data())
@settings(deadline=None, max_examples=150)
def test_an_edge_back_is_reported_with_a_real_cycle(graph: tuple[list[str], Links], data: st.DataObject) -> None:
    names, links = graph
    ways = [(a, b) for a in names for b in reach([a], links) if a != b]
    if not ways:
        return
    first, last = data.draw(st.sampled_from(sorted(ways)))
    links = [*links, (last, first)]
    _, problems = resolve(manifest(names, links), FAMILY)
    cycles = [found.group(1).split(" -> ") for p in problems if (found := re.search("a cycle: (.*)", p.message))]

    assert cycles
    for cycle in cycles:
        assert cycle[0] == cycle[-1]
        assert len(set(cycle)) == len(cycle) - 1 >= 2
        assert set(pairwise(cycle)) <= set(links)


def test_each_of_two_cycles_is_named() -> None:
    links = [("a", "b"), ("b", "a"), ("b", "c"), ("c", "d"), ("d", "b")]

    assert find_cycles(["a", "b", "c", "d"], links) == [("a", "b", "a"), ("b", "c", "d", "b")]


def test_the_depth_of_a_graph_is_no_limit() -> None:
    names = [f"s{n}" for n in range(5000)]
    links = list(pairwise(names))

    assert find_cycles(names, links) == []
    assert len(reach(["s0"], links)) == 5000
