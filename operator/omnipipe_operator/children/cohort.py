"""A cohort: everything of one revision of a pipeline. Its stages and its gateway come and go together, for they are
the only ones that can talk to each other."""

from collections.abc import Iterable
from dataclasses import dataclass

from omnipipe.spec.plan import EnginePlan, Plan
from omnipipe.spec.reader import ValidatedPipeline
from omnipipe_operator.children import labels, names
from omnipipe_operator.children.containers import RELAY_PORT
from omnipipe_operator.children.hashing import cohort_revision, plan_text
from omnipipe_operator.children.meta import metadata
from omnipipe_operator.children.models import draft_source, weights_of
from omnipipe_operator.children.owner import Owner
from omnipipe_operator.observed import Object
from omnipipe_operator.settings import OperatorSettings

__all__ = ["Cohort", "Images", "cohort_plan", "make_cohort", "plan_config_map"]


@dataclass(frozen=True, slots=True)
class Images:
    """For processes whose manifest names none."""

    gateway: str
    stage: str


@dataclass(frozen=True, slots=True)
class Cohort:
    revision: str
    plan: Plan
    images: Images
    curve_secret: str
    restart: str = ""


def make_cohort(
    pipeline: ValidatedPipeline,
    owner: Owner,
    settings: OperatorSettings,
    children: Iterable[Object],
    *,
    curve_secret: str,
    restart: str = "",
    plan: Plan | None = None,
) -> Cohort:
    """The one that should serve. Its images are those that it began with, as long as nobody asks for a restart: a new
    operator rolls nothing that runs. `plan`: what `cohort_plan` makes of the same, if it is at hand."""
    plan = plan or cohort_plan(pipeline, owner, settings, curve_secret)
    images = _pinned(children, names.plan(owner.name, plan.revision), owner, restart)
    images = images or Images(settings.gateway_image, settings.stage_image)
    return Cohort(plan.revision, plan, images, curve_secret, restart)


def cohort_plan(pipeline: ValidatedPipeline, owner: Owner, settings: OperatorSettings, curve_secret: str) -> Plan:
    """With the cohort's own revision, and addresses on the cluster."""
    compiled = pipeline.compile(lambda stage, replica: "", curve=True)
    revision = cohort_revision(compiled.revision, curve_secret)
    stages = (
        stage.model_copy(
            update={
                "addresses": (_address(owner, stage.name, revision, settings),),
                "engine": _with_source_in_pod(stage.engine),
            }
        )
        for stage in compiled.stages
    )
    return compiled.model_copy(
        update={
            "namespace": owner.namespace,
            "revision": revision,
            "source": weights_of(pipeline.pipeline.spec.model, owner).source,
            "stages": tuple(stages),
        }
    )


def _with_source_in_pod(engine: EnginePlan) -> EnginePlan:
    if engine.draft is None:
        return engine
    draft = engine.draft.model_copy(update={"source": draft_source(engine.draft.source)})
    return engine.model_copy(update={"draft": draft})


def plan_config_map(owner: Owner, cohort: Cohort) -> Object:
    name = names.plan(owner.name, cohort.revision)
    head = metadata(owner, name, labels.Component.PLAN, revision=cohort.revision)
    head["annotations"] = {
        labels.GATEWAY_IMAGE: cohort.images.gateway,
        labels.STAGE_IMAGE: cohort.images.stage,
        labels.RESTART: cohort.restart,
    }
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": head, "data": {"plan.json": plan_text(cohort.plan)}}


def _address(owner: Owner, stage: str, revision: str, settings: OperatorSettings) -> str:
    service = names.stage_workload(owner.name, stage, revision)
    domain = f".{settings.cluster_domain}" if settings.cluster_domain else ""
    return f"dns+tcp://{service}.{owner.namespace}.svc{domain}:{RELAY_PORT}"


def _pinned(children: Iterable[Object], name: str, owner: Owner, restart: str) -> Images | None:
    for child in children:
        if child["kind"] != "ConfigMap" or child["metadata"]["name"] != name or not owner.owns(child):
            continue
        if (labels.annotation_of(child, labels.RESTART) or "") != restart:
            return None
        gateway = labels.annotation_of(child, labels.GATEWAY_IMAGE)
        stage = labels.annotation_of(child, labels.STAGE_IMAGE)
        return Images(gateway, stage) if gateway and stage else None
    return None
