"""`spec.pod` and the pod fields of one stage, or of the gateway, put together: the more particular one wins.

Mappings are joined by key, `env` by name, tolerations one after the other; anything else is replaced. podTemplates stay
apart, to be merged into the pod one after the other.
"""

from typing import Any, Final, TypeVar

from omnipipe.spec.manifest import PipelineSpec
from omnipipe.spec.pods import EnvVar, PodFields, PodTemplate, Resources, StagePodFields, Toleration

__all__ = ["gateway_pod", "gateway_templates", "stage_pod", "stage_templates"]

_NOT_THE_GATEWAYS: Final[dict[str, object]] = {"image": None, "resources": Resources(), "runtime_class_name": None}
"""In `spec.pod` these are the stages' alone: the gateway has another image, and no device."""

_P = TypeVar("_P", bound=PodFields)


def stage_pod(spec: PipelineSpec, stage: str) -> StagePodFields:
    """The fields of a stage's pods, without podTemplate."""
    return _merged(spec.pod, _own(spec, stage))


def gateway_pod(spec: PipelineSpec) -> PodFields:
    """The fields of the gateway's pods, without podTemplate."""
    return _merged(spec.pod.model_copy(update=_NOT_THE_GATEWAYS), spec.gateway.pod)


def stage_templates(spec: PipelineSpec, stage: str) -> tuple[PodTemplate, ...]:
    """To be merged over the stage's pods, in this order."""
    return _given(spec.pod.pod_template, _own(spec, stage).pod_template)


def gateway_templates(spec: PipelineSpec) -> tuple[PodTemplate, ...]:
    """To be merged over the gateway's pods, in this order."""
    return _given(spec.pod.pod_template, spec.gateway.pod.pod_template)


def _merged(base: PodFields, own: _P) -> _P:
    """Fields that `base` lacks are `own`'s; what only `base` has is left behind."""
    merged = {name: _joined(getattr(base, name), getattr(own, name)) for name in type(own).model_fields}
    return own.model_copy(update=merged | {"pod_template": None})


def _joined(base: Any, own: Any) -> Any:
    match own:
        case Resources():
            return Resources(requests=base.requests | own.requests, limits=base.limits | own.limits)
        case dict():
            return base | own
        case (Toleration(), *_):
            return tuple(dict.fromkeys((*base, *own)))
        case (EnvVar(), *_):
            return tuple({variable.name: variable for variable in (*base, *own)}.values())
        case None | ():
            return base
        case _:
            return own


def _own(spec: PipelineSpec, stage: str) -> StagePodFields:
    return next((entry.pod for entry in spec.stages if entry.name == stage), StagePodFields())


def _given(*templates: PodTemplate | None) -> tuple[PodTemplate, ...]:
    return tuple(template for template in templates if template is not None)
