"""What the table of `omnipipe show` notes of a stage beside its numbers."""

from typing import Any

from omnipipe.families.registry import family_names, find_family
from omnipipe.spec.reader import read_object
from omnipipe.spec.render import render_text


def rows(spec: dict[str, Any]) -> list[list[str]]:
    manifest = {
        "apiVersion": "omnipipe.dev/v1alpha1",
        "kind": "OmniPipeline",
        "metadata": {"name": "assistant"},
        "spec": spec,
    }
    plan = read_object(manifest, find_family, family_names()).compile(lambda stage, replica: f"ipc:///{stage}")
    return [line.split() for line in render_text(plan).splitlines()]


def notes(spec: dict[str, Any]) -> dict[str, str]:
    """Stage -> its note."""
    table = rows(spec)
    begin = next(at for at, row in enumerate(table) if row[:1] == ["STAGE"]) + 1
    end = table.index([], begin)
    return {row[0]: " ".join(row[6:]) for row in table[begin:end]}


def test_the_source_is_told_when_there_is_one() -> None:
    assert ["source", "hf://owner/model"] in rows({"model": {"family": "llm", "source": "hf://owner/model"}})
    assert not any(row[:1] == ["source"] for row in rows({"model": {"family": "echo"}}))


def test_stages_that_only_some_requests_need_say_which() -> None:
    found = notes({"model": {"family": "qwen3_omni", "source": "hf://owner/model"}})

    assert any(note.endswith("only with audio") for note in found.values())
    assert any("only with image, video" in note for note in found.values())
    assert found["thinker"] == ""


def test_a_stage_of_another_name_says_what_it_is() -> None:
    edges = [
        {"from": "first", "to": "words"},
        {"from": "first", "to": "pitch"},
        {"from": "words", "to": "compose", "input": "pieces"},
        {"from": "pitch", "to": "compose", "input": "pitches"},
    ]
    stages = [{"name": "first", "type": "ingest"}, {"name": "words"}, {"name": "pitch"}, {"name": "compose"}]
    outputs = [{"name": "text", "stage": "compose"}]

    found = notes({"model": {"family": "echo"}, "stages": stages, "edges": edges, "outputs": outputs})

    assert found == {"first": "entry; type ingest", "words": "", "pitch": "", "compose": ""}
