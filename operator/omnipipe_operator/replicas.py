"""How many replicas each stage shall have, and who says so: the manifest, or whoever turns the OmniStage."""

from collections.abc import Iterable, Mapping
from typing import Final

from omnipipe.spec.manifest import PipelineSpec
from omnipipe_operator.children import Owner, labels, names
from omnipipe_operator.observed import Object, Observed

__all__ = ["GIVEN_REPLICAS", "desired_replicas", "held", "live_stages", "marked"]

GIVEN_REPLICAS: Final = "omnipipe.dev/given-replicas"
"""Annotation of an OmniStage: the number that we applied last. As long as it is the number that stands there, the field
is ours alone, and to leave it out of what we apply would set it back to its default."""
_MOST: Final = 1000


def live_stages(observed: Observed, owner: Owner) -> dict[str, Object]:
    """Stage -> its OmniStage, of ours."""
    found = {}
    for child in observed.children:
        stage = labels.stage_of(child)
        named = stage is not None and child["metadata"]["name"] == names.stage(owner.name, stage)
        if child["kind"] == "OmniStage" and stage is not None and named and owner.owns(child):
            found[stage] = child
    return found


def desired_replicas(spec: PipelineSpec, stages: Iterable[str], live: Mapping[str, Object]) -> dict[str, int]:
    """Of every stage, in the order given. Without a number in the manifest: what the OmniStage says, which an
    autoscaler or `kubectl scale` has set."""
    given = {stage.name: stage for stage in spec.stages}
    result = {}
    for name in stages:
        stage = given.get(name)
        if stage is not None and stage.replicas is not None:
            result[name] = stage.replicas
        elif name in live:
            result[name] = max(1, min(_MOST, int(live[name]["spec"].get("replicas") or 1)))
        else:
            result[name] = 1
    return result


def held(live: Mapping[str, Object]) -> dict[str, int]:
    """The stages whose number we applied and nobody has changed since."""
    return {
        stage: value["spec"]["replicas"]
        for stage, value in live.items()
        if labels.annotation_of(value, GIVEN_REPLICAS) == str(value["spec"].get("replicas"))
    }


def marked(value: Object) -> Object:
    """An OmniStage that is about to be applied, with the number that it says."""
    if value["kind"] != "OmniStage" or "replicas" not in value["spec"]:
        return value
    metadata = value["metadata"]
    annotations = {**(metadata.get("annotations") or {}), GIVEN_REPLICAS: str(value["spec"]["replicas"])}
    return {**value, "metadata": {**metadata, "annotations": annotations}}
