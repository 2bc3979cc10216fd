"""Whether the weights are where the stages can read them, and what that waits for."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from omnipipe.spec.manifest import ModelSpec, PipelineSpec
from omnipipe.spec.sources import parse_source
from omnipipe_operator.children import Owner
from omnipipe_operator.children.containers import FETCH
from omnipipe_operator.children.models import drafts_of, weights_of
from omnipipe_operator.cohorts import LiveCohort
from omnipipe_operator.conditions.reasons import Reason
from omnipipe_operator.conditions.trouble import Trouble, Words, trouble_of
from omnipipe_operator.observed import Object, Ref
from omnipipe_operator.pods import condition_of

__all__ = ["ModelState", "is_complete", "job_failed", "model_state"]

_CLAIM: Final = "PersistentVolumeClaim"


@dataclass(frozen=True, slots=True)
class ModelState:
    ready: bool
    reason: Reason
    message: str


def is_complete(job: Object | None) -> bool:
    return _holds(job, "Complete")


def job_failed(job: Object | None) -> bool:
    return _holds(job, "Failed")


def model_state(
    spec: PipelineSpec,
    owner: Owner,
    *,
    stages: Iterable[str],
    cohort: LiveCohort | None,
    job: Object | None,
    fetch_pods: Iterable[Object],
    named: Mapping[Ref, Object],
    words: Words,
) -> ModelState:
    """`cohort`: the one that is to serve; `job`: the live one that fetches for it."""
    model = spec.model
    weights = weights_of(model, owner)
    if model.source is None or parse_source(model.source).scheme == "builtin":
        return ModelState(True, Reason.NO_WEIGHTS_NEEDED, "nothing has to be fetched")
    claim = _claim(model)
    if claim is not None and Ref("v1", _CLAIM, claim) not in named:
        return ModelState(False, Reason.CLAIM_MISSING, f"there is no {_CLAIM} {claim} in namespace {owner.namespace}")
    match weights.fetched_by:
        case "nobody":
            return ModelState(True, Reason.MODEL_AVAILABLE, f"read from {model.source}")
        case "job":
            return _of_job(_Sources(model.source, drafts_of(spec)), job, fetch_pods, words)
        case "pod":
            of_stages = {stage: _Sources(model.source, drafts_of(spec, stage)) for stage in stages}
            return _of_pods(model.source, of_stages, cohort, words)


def _claim(model: ModelSpec) -> str | None:
    """A claim that others made."""
    source = parse_source(model.source or "")
    if source.scheme == "pvc":
        return source.location.partition("/")[0]
    return model.cache.claim_name if source.scheme == "hf" else None


@dataclass(frozen=True, slots=True)
class _Sources:
    """What is fetched together."""

    model: str
    drafts: tuple[str, ...]

    def __str__(self) -> str:
        if not self.drafts:
            return self.model
        return f"{self.model} and the draft model{'s' if len(self.drafts) > 1 else ''} {', '.join(self.drafts)}"

    @property
    def verb(self) -> str:
        return "are" if self.drafts else "is"


def _of_job(sources: _Sources, job: Object | None, pods: Iterable[Object], words: Words) -> ModelState:
    if job is None:
        return ModelState(False, Reason.WAITING_FOR_MODEL, f"the Job that fetches {sources} is being made")
    name = job["metadata"]["name"]
    if is_complete(job):
        return ModelState(True, Reason.MODEL_AVAILABLE, f"Job {name} has fetched {sources}")
    mine = [pod for pod in pods if pod["metadata"].get("labels", {}).get("job-name") == name]
    newest = max(mine, key=_age, default=None)
    trouble = trouble_of(newest, words) if newest is not None else None
    said = f": {trouble.message}" if trouble is not None and trouble.reason is not Reason.STARTING else ""
    if job_failed(job):
        return ModelState(False, Reason.FETCH_FAILED, f"Job {name} could not fetch {sources}{said}")
    return ModelState(False, Reason.WAITING_FOR_MODEL, f"Job {name} is fetching {sources}{said}")


def _of_pods(model: str, of_stages: Mapping[str, _Sources], cohort: LiveCohort | None, words: Words) -> ModelState:
    """Each pod fetches for itself: the model is there when one replica of each stage has it."""
    pods = {} if cohort is None else cohort.stage_pods
    waiting = [stage for stage in of_stages if not any(map(_has_fetched, pods.get(stage, ())))]
    if not waiting:
        return ModelState(True, Reason.MODEL_AVAILABLE, f"every stage has fetched {_all(model, of_stages.values())}")
    troubles = [trouble_of(pod, words) for stage in waiting for pod in pods.get(stage, ())]
    told = next((one for one in troubles if one is not None and one.reason is not Reason.STARTING), None)
    said = f": {told.message}" if told is not None else ""
    reason = Reason.FETCH_FAILED if _is_failure(told) else Reason.WAITING_FOR_MODEL
    sources = _all(model, (of_stages[stage] for stage in waiting))
    return ModelState(False, reason, f"{sources} {sources.verb} not yet there for {', '.join(waiting)}{said}")


def _all(model: str, sources: Iterable[_Sources]) -> _Sources:
    return _Sources(model, tuple(sorted({draft for one in sources for draft in one.drafts})))


def _has_fetched(pod: Object) -> bool:
    for status in pod.get("status", {}).get("initContainerStatuses") or ():
        if status["name"] == FETCH:
            ended = (status.get("state") or {}).get("terminated")
            return ended is not None and ended.get("exitCode") == 0
    return False


def _is_failure(trouble: Trouble | None) -> bool:
    return trouble is not None and trouble.reason is Reason.FETCH_FAILED


def _holds(job: Object | None, kind: str) -> bool:
    condition = condition_of(job, kind) if job is not None else None
    return condition is not None and condition.get("status") == "True"


def _age(pod: Object) -> tuple[str, str]:
    return (pod["metadata"].get("creationTimestamp") or "", pod["metadata"]["name"])
