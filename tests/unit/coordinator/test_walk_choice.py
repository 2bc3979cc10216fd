"""Which stages a request needs."""

import pytest
from tests.unit.coordinator.scripted import edge, make_plan, omni, output, stage

from omnipipe.coordinator.walk import Walk, Walks
from omnipipe.errors import ErrorKind, RequestError

TEXT, AUDIO, IMAGE = "text", "audio", "image"


def walk(*outputs: str, brings: tuple[str, ...] = (TEXT,)) -> Walk:
    return Walks(omni()).choose(frozenset(outputs), frozenset(brings))


def test_text_never_touches_the_audio_branch() -> None:
    chosen = walk(TEXT)
    assert set(chosen.by_name) == {"ingest", "left", "right", "compose"}
    assert chosen.by_name["compose"].targets == []
    assert [output.name for output in chosen.outputs] == [TEXT]


def test_audio_alone_owes_no_text() -> None:
    chosen = walk(AUDIO)
    assert set(chosen.by_name) == {"ingest", "left", "right", "compose", "synth"}
    assert chosen.by_name["compose"].outputs == []
    assert chosen.by_name["synth"].outputs == [AUDIO]
    assert chosen.by_name["compose"].targets == ["synth"]


def test_both_outputs() -> None:
    chosen = walk(TEXT, AUDIO)
    assert chosen.by_name["compose"].outputs == [TEXT]
    assert chosen.by_name["synth"].outputs == [AUDIO]


def test_a_stage_that_needs_an_image_takes_part_when_there_is_one() -> None:
    without, with_image = walk(TEXT), walk(TEXT, brings=(TEXT, IMAGE))
    assert "eye" not in without.by_name
    assert without.by_name["compose"].sources == ["left", "right"]
    assert without.by_name["ingest"].targets == ["left", "right"]
    assert with_image.by_name["compose"].sources == ["left", "right", "eye"]
    assert with_image.by_name["eye"].sources == ["ingest"]


def test_entry_stages_are_those_without_sources_and_come_first() -> None:
    chosen = walk(AUDIO, brings=(TEXT, IMAGE))
    assert [part.name for part in chosen.stages if not part.sources] == ["ingest"]
    seen: set[str] = set()
    for part in chosen.stages:
        assert seen.issuperset(part.sources)
        seen.add(part.name)
    assert chosen.sinks == {"synth"}


def test_a_stage_becomes_an_entry_when_its_only_source_is_left_out() -> None:
    plan = make_plan(
        [stage("eye", needs=frozenset({"image"})), stage("think")], [edge("eye", "think")], [output("text", "think")]
    )
    chosen = Walks(plan).choose(frozenset({"text"}), frozenset({"text"}))
    assert list(chosen.by_name) == ["think"]
    assert chosen.by_name["think"].sources == []


def test_two_edges_between_two_stages_are_one_source() -> None:
    plan = make_plan([stage("a"), stage("b")], [edge("a", "b"), edge("a", "b")], [output("text", "b")])
    chosen = Walks(plan).choose(frozenset({"text"}), frozenset())
    assert chosen.by_name["b"].sources == ["a"]
    assert chosen.by_name["a"].targets == ["b"]


def test_stages_listed_in_any_order_come_after_their_sources() -> None:
    plan = make_plan(
        [stage("c"), stage("b"), stage("a")], [edge("a", "b"), edge("b", "c"), edge("a", "c")], [output("text", "c")]
    )
    assert list(Walks(plan).choose(frozenset({"text"}), frozenset()).by_name) == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("outputs", "expected"),
    [
        (("video",), "There is no output modality 'video'; this pipeline has audio and text."),
        (("text", "smell", "video"), "There is no output modality 'smell'; this pipeline has audio and text."),
        ((), "At least one output modality is needed; this pipeline has audio and text."),
    ],
)
def test_outputs_that_the_pipeline_does_not_have(outputs: tuple[str, ...], expected: str) -> None:
    with pytest.raises(RequestError) as caught:
        walk(*outputs)
    assert caught.value.kind is ErrorKind.UNPROCESSABLE
    assert caught.value.param == "modalities"
    assert caught.value.message == expected


def test_an_output_of_a_stage_that_is_left_out_says_what_it_needs() -> None:
    needs = frozenset({"image", "video"})
    plan = make_plan([stage("eye", needs=needs)], [], [output("boxes", "eye")])
    with pytest.raises(RequestError) as caught:
        Walks(plan).choose(frozenset({"boxes"}), frozenset({"text"}))
    assert caught.value.message == "The output 'boxes' needs a request that brings image or video."


def test_a_walk_is_computed_once() -> None:
    walks = Walks(omni())
    first = walks.choose(frozenset({"text"}), frozenset({"text"}))
    assert walks.choose(frozenset({"text"}), frozenset({"text"})) is first
    assert walks.choose(frozenset({"audio"}), frozenset({"text"})) is not first
