"""The committed CRDs are the models' own, and structural: what an API server needs before it takes a schema."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import BaseModel, Field, TypeAdapter, ValidationError
from scripts.crd_reference import render_reference

from omnipipe.spec.cluster_fields import Autoscaling, DisruptionBudget, GatewayService, Rollout
from omnipipe.spec.crd import pipeline_crd, render_crds, stage_crd
from omnipipe.spec.manifest import EdgeSpec, EngineSpec, GatewaySpec, StageSpec, TransportSpec
from omnipipe.spec.pods import StagePodFields, Toleration
from omnipipe.spec.status import Condition, OmniStageSpec, PipelineStatus, StageStatus
from omnipipe.spec.structural import Schema, at, structural

CRDS = Path(__file__).parents[3] / "crds"
BOUNDS = {
    "string": ("maxLength", "enum", "format"),
    "array": ("maxItems",),
    "integer": ("maximum",),
    "number": ("maximum",),
}


def root_of(crd: Schema) -> Schema:
    (version,) = crd["spec"]["versions"]
    schema: Schema = version["schema"]["openAPIV3Schema"]
    return schema


ROOTS = {"pipeline": root_of(pipeline_crd()), "stage": root_of(stage_crd())}


def parts(schema: Schema, path: str) -> Iterator[tuple[str, Schema]]:
    yield path, schema
    for name, part in schema.get("properties", {}).items():
        yield from parts(part, f"{path}.{name}")
    for key in ("items", "additionalProperties"):
        if key in schema:
            yield from parts(schema[key], f"{path}[]")


EVERYTHING = [part for name, root in ROOTS.items() for part in parts(root, name)]
OURS = [(path, part) for path, part in EVERYTHING if path.count(".") > 1]
"""All but the root with its apiVersion, kind and metadata."""


def test_the_files_are_what_the_models_say() -> None:
    committed = {file.name: file.read_text(encoding="utf-8") for file in CRDS.iterdir()}
    assert committed == render_crds(), "run `make generate`"


def test_the_reference_is_what_the_crds_say() -> None:
    written = (CRDS.parent / "docs" / "crd-reference.md").read_text(encoding="utf-8")
    assert written == render_reference(), "run `make generate`"


def test_the_reference_has_every_field_and_its_links_lead_somewhere() -> None:
    text = render_reference()
    assert [path for path, _ in OURS if f"`{path.rpartition('.')[2].rstrip('[]')}`" not in text] == []
    headings = {re.sub(r"[^a-z0-9_-]", "", line[4:].lower()) for line in text.splitlines() if line.startswith("### ")}
    assert set(re.findall(r"\]\(#([^)]*)\)", text)) <= headings


def test_the_text_is_the_object() -> None:
    assert [yaml.safe_load(text) for text in render_crds().values()] == [pipeline_crd(), stage_crd()]


def test_nothing_stands_there_that_a_structural_schema_may_not_hold() -> None:
    foreign = {"$ref", "$defs", "anyOf", "oneOf", "allOf", "not", "title", "const", "nullable", "patternProperties"}
    assert [path for path, part in EVERYTHING if foreign & part.keys()] == []
    assert [path for path, part in EVERYTHING if isinstance(part.get("additionalProperties"), bool)] == []


def test_every_part_has_a_type_and_every_field_its_words() -> None:
    two = "x-kubernetes-int-or-string"
    assert [p for p, part in EVERYTHING if not {"type", two} & part.keys() and not p.endswith("params[]")] == []
    assert [p for p, part in OURS if not p.endswith("[]") and len(part.get("description", "")) < 15] == []


def test_everything_has_a_bound() -> None:
    open_ended = [p for p, part in OURS if not any(bound in part for bound in BOUNDS.get(part.get("type", ""), part))]
    assert open_ended == []
    assert [p for p, part in OURS if "additionalProperties" in part and "maxProperties" not in part] == []


def test_defaults_are_the_models_own() -> None:
    gateway = at(ROOTS["pipeline"], "spec.gateway")["properties"]
    assert gateway["maxInFlight"]["default"] == GatewaySpec().max_in_flight
    assert at(ROOTS["pipeline"], "spec.transport")["default"] == TransportSpec().model_dump(by_alias=True)
    assert at(ROOTS["stage"], "spec.replicas")["default"] == 1


def test_a_stage_object_may_be_scaled_as_far_as_the_manifest() -> None:
    bounds = ("type", "format", "minimum", "maximum")
    scaled, written = at(ROOTS["stage"], "spec.replicas"), at(ROOTS["pipeline"], "spec.stages[].replicas")
    assert [scaled[bound] for bound in bounds] == [written[bound] for bound in bounds]


SECTIONS: list[type[BaseModel]] = [
    EdgeSpec, EngineSpec, GatewaySpec, StageSpec, TransportSpec, Condition, StageStatus, PipelineStatus, OmniStageSpec,
    Autoscaling, DisruptionBudget, GatewayService, Rollout, StagePodFields, Toleration,
]  # fmt: skip


def numbers() -> Iterator[tuple[TypeAdapter[Any], Schema]]:
    for section in SECTIONS:
        schema = structural(section)
        for name, field in section.model_fields.items():
            part = schema["properties"][field.alias or name]
            if part.get("type") in ("integer", "number"):
                yield TypeAdapter(field.rebuild_annotation()), part


def test_the_bounds_of_numbers_are_those_that_the_models_keep() -> None:
    checked = 0
    for model, part in numbers():
        step = 1 if part["type"] == "integer" else 1e-6
        lowest = part["minimum"] + (step if part.get("exclusiveMinimum") else 0)
        for value in (lowest, part["maximum"]):
            model.validate_python(value)
        for value in (lowest - step, part["maximum"] + step):
            with pytest.raises(ValidationError):
                model.validate_python(value)
        checked += 1
    assert checked > 20


class Odd(BaseModel):
    either: int | str = Field(description="Two types at once.")


class Tight(BaseModel):
    share: float = Field(multiple_of=0.5)


@pytest.mark.parametrize("model", [Odd, Tight])
def test_what_a_crd_cannot_say_is_not_lost_in_silence(model: type[BaseModel]) -> None:
    with pytest.raises(ValueError, match="in a CRD"):
        structural(model)
