"""Every broken manifest of the unit tests, given to the API server: refused by schema or CEL, naming the field, or on
the list of what only somebody who knows the families can see, which is the webhook's part."""

import re
from pathlib import Path

import pytest
import yaml
from tests.cluster.namespace import Namespace, Refused, pipeline

BROKEN = sorted((Path(__file__).parents[1] / "unit" / "spec" / "broken").glob("*.yaml"))
DRY = "--dry-run=server"
"""Everything here is asked and nothing kept, so that one namespace does for all."""

THE_WEBHOOKS = frozenset(
    {
        "cluster-requests-above-limits",  # a map's values are known to CEL one at a time, and of either of two types
        "cluster-template-lists",  # a podTemplate is opaque
        "engine-options-of-another-kind",  # of which kind a stage is, its family says
        "graph-ambiguous-ports",  # which ports there are, only the family says; so for all that speak of ports
        "graph-cycle",  # CEL knows no recursion
        "graph-fan-in-not-fed",
        "graph-input-fed-twice",
        "graph-leads-nowhere",
        "graph-no-entry",
        "graph-two-stage-cycle",
        "graph-types-do-not-match",
        "graph-unknown-port",
        "graph-unknown-type",
        "graph-window-on-payload",
        "model-unknown-family",
        "model-unneeded-source",
        "object-third-of-three",
        "object-two-with-one-name",  # to a cluster, the second is a change of the first
        "stage-params",
        "stage-unknown",
    }
)


NOBODYS = frozenset({"yaml-duplicate-key", "yaml-tag"})
"""kubectl reads the text, and the server never sees what it made of it; `omnipipe validate` does."""

KUBECTLS = frozenset(file.stem for file in BROKEN if file.stem.startswith(("yaml-", "object-"))) | {
    "field-infinite",
    "metadata-name-number",
}
"""Refused, if at all, before any field is looked at."""


def names_a_place(message: str, file: Path) -> bool:
    """Whether it says where one of the expected findings is, or at least in which section or list."""
    said = re.findall(r"[A-Za-z]\w*(?:\.\w+|\[\d+\])*", message)
    findings = file.with_suffix(".txt").read_text(encoding="utf-8").splitlines()
    places = [line.split(": ")[1] for line in findings]
    return any(_is_at(place, word) for place in places for word in said)


def _is_at(place: str, word: str) -> bool:
    return place == word or ("." in word and place.startswith((f"{word}.", f"{word}[")))


def test_the_lists_name_files_that_are_there() -> None:
    assert {file.stem for file in BROKEN} >= THE_WEBHOOKS | NOBODYS | KUBECTLS


@pytest.mark.parametrize(
    "file", [f for f in BROKEN if f.stem not in THE_WEBHOOKS | NOBODYS], ids=lambda file: file.stem
)
def test_a_broken_manifest_is_refused(file: Path, default: Namespace) -> None:
    with pytest.raises(Refused) as refused:
        default.apply(file, DRY)

    assert file.stem in KUBECTLS or names_a_place(str(refused.value), file), str(refused.value)


@pytest.mark.parametrize("file", [f for f in BROKEN if f.stem in THE_WEBHOOKS | NOBODYS], ids=lambda file: file.stem)
def test_what_the_server_cannot_know_is_left_to_others(file: Path, default: Namespace) -> None:
    default.apply(file, DRY)


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ({"edges": []}, "spec.outputs: Invalid value"),
        ({"edges": []}, "spec.stages: Invalid value"),
        ({"edges": [{"from": "a", "to": "a"}]}, "must not lead from a stage to itself"),
        ({"outputs": [{"name": "text", "stage": "compose"}]}, "give spec.edges too"),
        ({"model": {"family": "echo", "source": "ftp://somewhere/else"}}, "must begin with hf://"),
        ({"transport": {"heartbeatSeconds": 1}}, "spec.transport.deadAfterSeconds: Invalid value"),
        ({"gatway": {}}, ".spec.gatway: field not declared in schema"),
    ],
)
def test_the_server_says_where_and_what(spec: dict[str, object], words: str, default: Namespace) -> None:
    with pytest.raises(Refused, match=re.escape(words)):
        default.apply(pipeline(spec), DRY)


def test_an_unknown_field_is_refused_on_the_other_ways_in_too(default: Namespace) -> None:
    manifest = yaml.safe_dump(pipeline({"gateway": {"maxQueud": 1}}))
    for how in ("create", "apply"):
        with pytest.raises(Refused, match=re.escape('unknown field "spec.gateway.maxQueud"')):
            default.kubectl(how, "-f", "-", stdin=manifest)


def test_two_edges_between_two_stages_are_not_one(default: Namespace) -> None:
    """Told apart by their ports, which are optional: why the edges are no map by from and to."""
    edges = [{"from": "in", "to": "out", "input": name} for name in ("pieces", "pitches")]
    graph = {
        "stages": [{"name": "in", "type": "ingest"}, {"name": "out", "type": "compose"}],
        "edges": edges,
        "outputs": [{"name": "text", "stage": "out"}],
    }

    default.apply(pipeline(graph), DRY)

    with pytest.raises(Refused, match="the same edge is there twice"):
        default.apply(pipeline({**graph, "edges": [*edges, edges[0]]}), DRY)


def test_the_largest_graph_is_within_the_servers_budget(default: Namespace) -> None:
    """CEL has a cost at run time too: as many stages and edges as fit, with the longest names."""
    names = [f"a-stage-called-{index:05}" for index in range(32)]
    edges = [{"from": names[i], "to": names[j]} for i in range(32) for j in (i + 1, i + 2) if j < 32]
    graph = {
        "stages": [{"name": name, "type": "words"} for name in names],
        "edges": edges + [{"from": names[0], "to": names[j]} for j in (3, 4, 5)],
        "outputs": [{"name": f"output-{index}", "stage": names[-1]} for index in range(16)],
    }

    default.apply(pipeline(graph), DRY)
