"""Hashes that end up in names and annotations. Changing what goes into one rolls every pipeline there is.

Of a plan, what is at its default is left out, in the hashes as in the text that processes read: a newer operator, whose
plans have further fields, then rolls nothing, and older processes go on reading what it writes.
"""

import hashlib
import json
from typing import Final

from pydantic import BaseModel

from omnipipe.spec.plan import PLAN_VERSION, Plan
from omnipipe_operator.children.labels import APPLIED, annotation_of
from omnipipe_operator.observed import Object

__all__ = ["applied_hash", "cohort_revision", "gateway_part", "json_hash", "plan_text", "stage_part", "stamped"]

_LENGTH: Final = 8
"""Hex digits of what is in a name: of the few cohorts that a pipeline has at a time, no two share these 32 bits."""
_ANNOTATION_LENGTH: Final = 16


def json_hash(value: object, length: int = _LENGTH) -> str:
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:length]


def cohort_revision(plan_revision: str, curve_secret: str) -> str:
    """Processes with other keys, or that read another format of plan, cannot work together."""
    return json_hash([PLAN_VERSION, plan_revision, curve_secret])


def plan_text(plan: Plan) -> str:
    """The plan as processes read it. Its version is always there, for without it a reader takes its own."""
    content = {"version": PLAN_VERSION, **plan.model_dump(mode="json", exclude_defaults=True)}
    return json.dumps(content, indent=1) + "\n"


def stage_part(plan: Plan, stage: str) -> str:
    """Hash of what a stage reads in the plan: not what the gateway or the other stages alone look at."""
    own = plan.stage(stage)
    return _text_hash(
        plan.revision,
        plan.source or "",
        own.model_dump_json(exclude={"addresses"}, exclude_defaults=True),
        *(_own_text(edge) for edge in plan.edges if stage in (edge.source, edge.target)),
        *(_own_text(output) for output in plan.outputs if output.stage == stage),
        _own_text(plan.transport),
    )


def gateway_part(plan: Plan) -> str:
    """Hash of what a gateway reads in the plan: all of it."""
    return _text_hash(_own_text(plan))


def stamped(value: Object) -> Object:
    """The object with the hash of itself as an annotation: what says later whether the desired state has changed."""
    metadata = value["metadata"]
    annotations = {**metadata.get("annotations", {}), APPLIED: json_hash(value, _ANNOTATION_LENGTH)}
    return {**value, "metadata": {**metadata, "annotations": annotations}}


def applied_hash(value: Object) -> str | None:
    return annotation_of(value, APPLIED)


def _own_text(part: BaseModel) -> str:
    return part.model_dump_json(exclude_defaults=True)


def _text_hash(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:_ANNOTATION_LENGTH]
