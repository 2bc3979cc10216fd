"""How a finding talks of the value that it is about, and of what would be right."""

import datetime
from typing import Any

import pytest

from omnipipe.families.registry import family_names, find_family
from omnipipe.spec.errors import ManifestError
from omnipipe.spec.family import ParamType
from omnipipe.spec.params import param_problem
from omnipipe.spec.reader import read_pipelines
from omnipipe.spec.suggest import kind_of, meant, number, shown


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (None, "nothing"),
        (True, "true or false"),
        (3, "a number"),
        (0.5, "a number"),
        ("x", "a string"),
        ({}, "a mapping"),
        ([], "a list"),
        ((), "a list"),
        (datetime.date(2030, 1, 1), "date"),
    ],
)
def test_a_kind_has_a_name_that_people_use(value: object, kind: str) -> None:
    assert kind_of(value) == kind


@pytest.mark.parametrize(("value", "text"), [(3.0, "3"), (0.5, "0.5"), (1e15, "1000000000000000"), (7, "7")])
def test_a_limit_is_written_as_one_would_type_it(value: float, text: str) -> None:
    assert number(value) == text


def test_a_word_that_is_near_a_known_one_is_taken_for_it_and_else_all_are_told() -> None:
    assert meant("STAGE", ["stages", "edges"]) == '; did you mean "stages"?'
    assert meant("replica", ["Replicas", "name"]) == '; did you mean "Replicas"?'
    assert meant("xyz", ["stages", "edges"]) == "; known here: stages, edges"
    assert meant("xyz", []) == ""


def param(kind: type[int] | type[float] | type[str] | type[bool], **bounds: Any) -> ParamType:
    return ParamType(kind, kind(), "for a test", **bounds)


@pytest.mark.parametrize(
    ("given", "value", "problem"),
    [
        (param(float, minimum=0.5), 0.5, None),
        (param(float, minimum=0.5), 0.25, "must be at least 0.5, got 0.25"),
        (param(int, maximum=8), 8, None),
        (param(int, maximum=8), 9, "must be at most 8, got 9"),
        (param(int), 10**9, None),
        (param(int), True, "must be a whole number, got true"),
        (param(int), 1.5, "must be a whole number, got 1.5"),
        (param(float), float("inf"), "must be a number"),
        (param(float), float("nan"), "must be a number"),
        (param(float), 10**400, "must be a number"),  # a whole number, but none that has a fraction
        (param(float), -(10**400), "must be a number"),
        (param(float), 10**300, None),
        (param(bool), True, None),
        (param(bool), 1, "must be true or false, got 1"),
        (param(int, multiple_of=4), 8, None),
        (param(int, multiple_of=4), 6, "must be a multiple of 4, got 6"),
        (param(str), "anything", None),
        (param(str, choices=("fast", "slow")), "slow", None),
        (param(str, choices=("fast", "slow")), "slwo", 'must be one of fast, slow, got "slwo"; did you mean'),
        (param(str, choices=("fast", "slow")), "xyz", 'must be one of fast, slow, got "xyz"'),
    ],
)
def test_a_parameter_says_what_is_wrong_with_its_value(given: ParamType, value: object, problem: str | None) -> None:
    found = param_problem(given, value)

    assert found == problem or (found is not None and problem is not None and found.startswith(problem))
    assert found is None or ("did you mean" in found) == ("did you mean" in (problem or ""))


@pytest.mark.parametrize("value", ["a" * 20, 5, True, None])
def test_what_is_short_is_shown(value: object) -> None:
    assert "a list" not in shown(value)
    assert "string" not in shown(value)


MERGED = """\
apiVersion: omnipipe.dev/v1alpha1
kind: OmniPipeline
metadata: {name: a}
spec:
  model: {family: echo}
  stages:
    - &one
      name: words
      maxRunning: none at all
    - <<: *one
      name: pitch
    - 5: x
      name: synth
"""


def test_what_an_anchor_brought_is_found_where_it_is_written() -> None:
    with pytest.raises(ManifestError) as caught:
        read_pipelines(MERGED, "a.yaml", find_family, family_names())

    found = {(finding.line, finding.path) for finding in caught.value.findings}
    assert (9, "spec.stages[0].maxRunning") in found
    assert (9, "spec.stages[1].maxRunning") in found
    assert "a key must be a string, got 5 (write it in quotes)" in str(caught.value)
