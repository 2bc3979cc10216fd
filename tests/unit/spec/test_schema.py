"""The models carry what a CRD needs of them: words for `kubectl explain`, and a bound on everything, without which an
API server refuses validation rules as too costly."""

from collections.abc import Iterator
from typing import Any

from omnipipe.spec.manifest import Pipeline

SCHEMA = Pipeline.model_json_schema(by_alias=True)


def parts(schema: dict[str, Any], path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    yield path, schema
    for name, part in schema.get("properties", {}).items():
        yield from parts(part, f"{path}.{name}")
    for key in ("items", "additionalProperties"):
        if isinstance(schema.get(key), dict):
            yield from parts(schema[key], f"{path}[]")
    for option in schema.get("anyOf", ()):
        yield from parts(option, path)


def everything() -> Iterator[tuple[str, dict[str, Any]]]:
    yield from parts(SCHEMA, "")
    for name, part in SCHEMA["$defs"].items():
        yield from parts(part, name)


def test_every_field_says_what_it_is_for() -> None:
    silent = [
        f"{name}.{field}"
        for name, section in SCHEMA["$defs"].items()
        for field, part in section.get("properties", {}).items()
        if len(part.get("description", "")) < 15
    ]
    assert silent == []


def test_everything_has_a_bound() -> None:
    bounds = {
        "string": ("maxLength", "enum", "const"),
        "array": ("maxItems",),
        "integer": ("maximum",),
        "number": ("maximum",),
    }
    unbound = [
        path
        for path, part in everything()
        if part.get("type") in bounds and not any(bound in part for bound in bounds[part["type"]])
    ]
    assert unbound == []


def test_mappings_are_closed_or_bounded() -> None:
    open_ended = [
        path
        for path, part in everything()
        if part.get("type") == "object"
        and part.get("additionalProperties") is not False
        and "maxProperties" not in part
    ]
    assert open_ended == []
