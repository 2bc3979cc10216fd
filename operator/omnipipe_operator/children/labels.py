"""Labels and annotations: how the operator knows its own objects again, and which belong together.

Selectors of Deployments cannot be changed, so what they select by is fixed here: pipeline, component, stage, revision.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from omnipipe_operator.observed import Object

__all__ = [
    "APPLIED",
    "COMPONENT",
    "GATEWAY_IMAGE",
    "PIPELINE",
    "PLAN_HASH",
    "RESTART",
    "REVISION",
    "ROTATE_KEYS",
    "STAGE",
    "STAGE_IMAGE",
    "TEMPLATE",
    "Component",
    "all_labels",
    "annotation_of",
    "component_of",
    "pipeline_of",
    "revision_of",
    "selector",
    "selector_text",
    "stage_of",
    "template_of",
]

_PREFIX: Final = "omnipipe.dev"
COMPONENT: Final = "app.kubernetes.io/component"
PIPELINE: Final = f"{_PREFIX}/pipeline"
STAGE: Final = f"{_PREFIX}/stage"
REVISION: Final = f"{_PREFIX}/revision"
"""The cohort. Absent on what outlives one: the client Service, budgets, OmniStages, ..."""

APPLIED: Final = f"{_PREFIX}/applied"
"""Annotation: hash of the object as it was last applied."""
PLAN_HASH: Final = f"{_PREFIX}/plan-hash"
"""Annotation of a pod template: hash of the part of the plan that its process reads."""
TEMPLATE: Final = f"{_PREFIX}/template"
"""Annotation of a Job: hash of its spec, which cannot be changed in place."""
GATEWAY_IMAGE: Final = f"{_PREFIX}/gateway-image"
STAGE_IMAGE: Final = f"{_PREFIX}/stage-image"
"""Annotations of a plan ConfigMap: the default images that its cohort began with."""
RESTART: Final = f"{_PREFIX}/restart"
ROTATE_KEYS: Final = f"{_PREFIX}/rotate-keys"
"""Annotations of an OmniPipeline, any text: another one restarts all pods in place, makes new keys."""

_FIXED: Final = {
    "app.kubernetes.io/name": "omnipipe",
    "app.kubernetes.io/managed-by": "omnipipe",
    "app.kubernetes.io/part-of": "omnipipe",
}


class Component(StrEnum):
    STAGE = "stage"
    GATEWAY = "gateway"
    PLAN = "plan"
    CURVE = "curve"
    MODEL = "model"
    FETCH = "fetch"


def selector(pipeline: str, component: Component, *, stage: str = "", revision: str = "") -> dict[str, str]:
    """What finds the pods of it; of all stages, of all revisions, when they are left out."""
    found = {PIPELINE: pipeline, COMPONENT: component.value}
    if stage:
        found[STAGE] = stage
    if revision:
        found[REVISION] = revision
    return found


def selector_text(pipeline: str, stage: str) -> str:
    """For OmniStage.status.selector: the stage's pods, of all revisions."""
    return ",".join(f"{key}={value}" for key, value in selector(pipeline, Component.STAGE, stage=stage).items())


def all_labels(pipeline: str, component: Component, *, stage: str = "", revision: str = "") -> dict[str, str]:
    return {**_FIXED, **selector(pipeline, component, stage=stage, revision=revision)}


def pipeline_of(value: Object) -> str | None:
    return _labels(value).get(PIPELINE)


def component_of(value: Object) -> str | None:
    return _labels(value).get(COMPONENT)


def stage_of(value: Object) -> str | None:
    return _labels(value).get(STAGE)


def revision_of(value: Object) -> str | None:
    return _labels(value).get(REVISION)


def template_of(job: Object) -> str | None:
    return annotation_of(job, TEMPLATE)


def annotation_of(value: Object, key: str) -> str | None:
    annotations: Mapping[str, str] = value["metadata"].get("annotations") or {}
    return annotations.get(key)


def _labels(value: Object) -> Mapping[str, str]:
    labels: Mapping[str, str] = value["metadata"].get("labels") or {}
    return labels
