"""A family's own graph goes through the same rules as a manifest's: its author hears of a mistake in the same words."""

from dataclasses import replace

import pytest

from omnipipe.families.registry import BUILT_IN, find_family
from omnipipe.spec.family import EdgeType, Family, OutputType
from omnipipe.spec.manifest import PipelineSpec
from omnipipe.spec.resolve import resolve


def echo() -> Family:
    family = find_family("echo")
    assert family is not None
    return family


def problems(family: Family) -> list[tuple[str, str]]:
    spec = PipelineSpec.model_validate({"model": {"family": family.name}})
    return [(".".join(map(str, problem.path)), problem.message) for problem in resolve(spec, family)[1]]


@pytest.mark.parametrize("name", BUILT_IN)
def test_the_families_that_ship_hold_together(name: str) -> None:
    family = find_family(name)

    assert family is not None
    assert family.name == name
    assert problems(family) == []


def test_a_family_with_a_cycle_cannot_be_served() -> None:
    looping = replace(echo(), edges=(*echo().edges, EdgeType("synth", "words", "audio", "prompt")))

    assert ("spec.model.family", "closes a cycle: words -> compose -> synth -> words") in problems(looping)


def test_a_family_with_an_input_that_nobody_feeds_cannot_be_served() -> None:
    lacking = replace(echo(), edges=echo().edges[:3] + echo().edges[4:], outputs=echo().outputs)

    assert problems(lacking) == [
        ("spec.model.family", 'nobody feeds input "pitches" (json, payload) of "compose"'),
        ("spec.model.family", '"pitch" leads to no output: nobody would see its work'),
    ]


def test_a_family_whose_output_names_no_stage_cannot_be_served() -> None:
    silent = replace(echo(), outputs=(OutputType("text", "composer", "text"),))

    assert problems(silent)[0] == (
        "spec.model.family.stage",
        'no stage is called "composer"; did you mean "compose"?',
    )
