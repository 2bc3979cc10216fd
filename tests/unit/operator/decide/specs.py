"""Manifests for these tests: a small graph whose revision a number changes."""

from typing import Any

__all__ = ["spec"]


def spec(
    version: int = 0,
    *,
    image: str | None = None,
    voice: bool = False,
    replicas: int | None = None,
    strategy: str = "Surge",
    deadline_s: int = 60,
    **further: Any,
) -> dict[str, Any]:
    """`version` is a stage's param: another is another revision. `image` is that of the stages. `voice`: one stage
    more. `replicas`: of the stage `compose`."""
    compose: dict[str, Any] = {"name": "compose", "type": "compose", "params": {"delay_ms": float(version)}}
    if replicas is not None:
        compose["replicas"] = replicas
    stages = [{"name": "ingest"}, {"name": "words"}, {"name": "pitch"}, compose]
    edges = [
        {"from": "ingest", "to": "words"},
        {"from": "ingest", "to": "pitch"},
        {"from": "words", "to": "compose", "input": "pieces"},
        {"from": "pitch", "to": "compose", "input": "pitches"},
    ]
    outputs = [{"name": "text", "stage": "compose"}]
    if voice:
        stages.append({"name": "synth"})
        edges.append({"from": "compose", "to": "synth", "port": "notes"})
        outputs.append({"name": "audio", "stage": "synth"})
    value: dict[str, Any] = {
        "model": {"family": "echo"},
        "stages": stages,
        "edges": edges,
        "outputs": outputs,
        "rollout": {"strategy": strategy, "progressDeadlineSeconds": deadline_s},
        **further,
    }
    if image is not None:
        value["pod"] = {"image": image}
    return value
