"""Fields that have their effect on a cluster only: they are read, named to whoever serves on one machine, and never
part of what makes two cohorts differ."""

import copy
import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml
from pydantic import BaseModel

from omnipipe.families.registry import family_names, find_family
from omnipipe.spec.cluster_only import given_for_clusters, section_for_clusters
from omnipipe.spec.errors import ManifestError, PathKey
from omnipipe.spec.family import Family
from omnipipe.spec.manifest import Pipeline
from omnipipe.spec.pod_rules import amount
from omnipipe.spec.reader import ValidatedPipeline, read_object, read_pipelines

FILE = Path(__file__).parent / "every-field.yaml"
EVERY_FIELD: dict[str, Any] = yaml.safe_load(FILE.read_text(encoding="utf-8"))
PLAIN: dict[str, Any] = {**EVERY_FIELD, "spec": {"model": {"family": "echo", "source": "hf://owner/name"}}}


def weighty(name: str) -> Family | None:
    """The echo family, if it had weights to fetch."""
    family = find_family(name)
    return None if family is None else dataclasses.replace(family, needs_source=True, sources=("hf",))


def read(value: dict[str, Any]) -> ValidatedPipeline:
    return read_object(value, weighty, family_names())


def revision(value: dict[str, Any]) -> str:
    return read(value).compile(lambda stage, replica: f"dns+tcp://{stage}:5600").revision


def leaves(model: BaseModel, path: PathKey = ()) -> Iterator[tuple[PathKey, object, object]]:
    """Every field below, its value and its default."""
    for name, info in type(model).model_fields.items():
        where = (*path, info.alias or name)
        match getattr(model, name):
            case BaseModel() as part:
                yield from leaves(part, where)
            case (BaseModel(), *_) as parts:
                for index, part in enumerate(parts):
                    yield from leaves(part, (*where, index))
            case value:
                yield where, value, info.get_default()


def declared(model: type[BaseModel], path: PathKey = ()) -> Iterator[PathKey]:
    for name, info in model.model_fields.items():
        where = (*path, info.alias or name)
        inner = next(sections(info.annotation), None)
        yield from [where] if inner is None else declared(inner, where)


def sections(annotation: object) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from sections(part)


def general(path: PathKey) -> PathKey:
    return tuple(key for key in path if isinstance(key, str))


def test_the_file_has_every_such_field() -> None:
    given = {general(path) for path, value, default in leaves(read(EVERY_FIELD).pipeline) if value != default}
    pods = {path for path in declared(Pipeline) if "pod" in path[:-1] and path[1] != "stages"}  # each is in a stage's
    missing = {path for path in declared(Pipeline) if section_for_clusters(indexed(path))} - given - pods
    cache = ("spec", "model", "cache")
    assert missing == {(*cache, "sizeLimit"), (*cache, "claimName")}  # of other types of cache than the file's


def indexed(path: PathKey) -> PathKey:
    return (*path[:2], 0, *path[2:]) if path[1:2] == ("stages",) else path


def test_a_file_and_an_object_are_read_alike() -> None:
    [one] = read_pipelines(FILE.read_bytes(), "x.yaml", weighty, family_names())

    assert one.pipeline == read(EVERY_FIELD).pipeline


def test_a_file_and_an_object_are_refused_alike() -> None:
    broken = (FILE.parent / "broken").glob("*.yaml")
    for file in sorted(file for file in broken if not file.stem.startswith(("yaml-", "object-", "field-infinite"))):
        with pytest.raises(ManifestError) as of_file:
            read_pipelines(file.read_bytes(), file.name, find_family, family_names())
        with pytest.raises(ManifestError) as of_object:
            read_object(yaml.safe_load(file.read_bytes()), find_family, family_names())

        said = [{(finding.path, finding.message) for finding in error.value.findings} for error in (of_file, of_object)]
        assert said[0] == said[1]
        assert {finding.line for finding in of_object.value.findings} == {None}


def test_none_of_them_changes_the_revision() -> None:
    plain = revision(PLAIN)

    assert revision(EVERY_FIELD) == plain
    for name, value in EVERY_FIELD["spec"].items():
        assert revision({**PLAIN, "spec": {**PLAIN["spec"], name: value}}) == plain


def test_those_that_are_given_are_named() -> None:
    assert given_for_clusters(read(PLAIN).pipeline.spec) == ()
    named = given_for_clusters(read(EVERY_FIELD).pipeline.spec)

    assert len(named) == 17
    assert {"spec.stages[].autoscaling", "spec.gateway.httpRoute", "spec.model.cache", "spec.suspend"} <= set(named)


def test_one_that_is_given_as_it_is_anyway_is_not_named() -> None:
    value = {**PLAIN, "spec": {**PLAIN["spec"], "rollout": {"strategy": "Surge"}, "networkPolicy": {"enabled": True}}}

    assert given_for_clusters(read(value).pipeline.spec) == ()


def test_a_stage_has_as_many_addresses_as_replicas_and_one_without() -> None:
    plan = read(EVERY_FIELD).compile(lambda stage, replica: f"ipc:///{stage}-{replica}")

    assert {stage.name: len(stage.addresses) for stage in plan.stages} == {
        "ingest": 1, "words": 1, "pitch": 1, "compose": 1, "synth": 3,
    }  # fmt: skip


def test_what_is_opaque_comes_out_as_it_went_in() -> None:
    spec = read(EVERY_FIELD).pipeline.spec
    written = EVERY_FIELD["spec"]["stages"]

    template, autoscaling = spec.stages[0].pod.pod_template, spec.stages[1].autoscaling

    assert template is not None and autoscaling is not None
    assert template.to_object() == written[0]["pod"]["podTemplate"]
    assert list(autoscaling.metrics) == written[1]["autoscaling"]["metrics"]
    assert autoscaling.behavior == written[1]["autoscaling"]["behavior"]


def nested(levels: int) -> object:
    value: object = "bottom"
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("part", "words"),
    [
        ({"hostname": "x" * 70_000}, "must be at most 65536 characters long as JSON"),
        ({"deep": nested(40)}, "must be nested at most 24 levels deep"),
        ({"volumes": [{"name": "a", 1: "b"}]}, "must have strings as keys"),
        ({"weight": float("inf")}, "must hold what JSON can say"),
        ({"when": {1, 2}}, "must hold what JSON can say"),
    ],
)
def test_what_is_opaque_has_its_bounds_too(part: dict[str, object], words: str) -> None:
    value = copy.deepcopy(EVERY_FIELD)
    value["spec"]["pod"]["podTemplate"] = {"spec": part}

    with pytest.raises(ManifestError, match=words) as caught:
        read(value)

    assert [finding.path for finding in caught.value.findings] == ["spec.pod.podTemplate.spec"]


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("2", "2"), ("0.5", "0.5"), ("500m", "0.5"), ("1k", "1000"), ("1Ki", "1024"), ("2Gi", "2147483648"),
        ("1.5Mi", "1572864"), ("3e2", "300"), ("1E", "1000000000000000000"), ("1E3", "1000"), ("2e-1", "0.2"),
    ],
)  # fmt: skip
def test_a_quantity_is_a_number(text: str, number: str) -> None:
    assert str(amount(text).normalize() + 0) == str((amount(number)).normalize() + 0)
