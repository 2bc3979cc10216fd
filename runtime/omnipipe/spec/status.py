"""What the operator reports in the `status` of the objects it owns, and the OmniStage object that makes one stage
scalable under a stable name. The CRDs' schemas come from here, as `manifest`'s models give those of the spec.
"""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from omnipipe.spec.scalars import PipelineName, StageName

__all__ = ["Condition", "ConditionType", "OmniStage", "OmniStageSpec", "OmniStageStatus", "PipelineStatus", "Replicas",
           "StageStatus"]  # fmt: skip

ConditionType = Literal["Accepted", "ModelReady", "Progressing", "Ready", "Degraded"]
Generation = Annotated[int, Field(ge=0, le=(1 << 53) - 1)]
"""Up to the largest whole number that a double holds: the API server keeps a schema's bounds as doubles."""
Revision = Annotated[str, Field(min_length=1, max_length=63, pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")]
Reason = Annotated[str, Field(min_length=1, max_length=256, pattern=r"^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$")]
Message = Annotated[str, Field(max_length=8192)]
Count = Annotated[int, Field(ge=0, le=1_000_000)]
Replicas = Annotated[int, Field(ge=1, le=1000)]
"""The same bounds as `spec.stages[].replicas` in the manifest."""


class _Section(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, frozen=True, extra="forbid", strict=True)


class Condition(_Section):
    type: ConditionType = Field(description="What the condition is about.")
    status: Literal["True", "False", "Unknown"] = Field(description="Whether it holds.")
    reason: Reason = Field(description="Why, in one word for machines: Unschedulable, WaitingForModel, NotRoutable.")
    message: Message = Field(default="", description="Why, in a sentence for people, with what to do about it.")
    last_transition_time: datetime = Field(strict=False, description="When `status` last changed.")
    observed_generation: Generation = Field(description="metadata.generation that the condition speaks of.")


class StageStatus(_Section):
    name: StageName = Field(description="Name of the stage.")
    revision: Revision | None = Field(default=None, description="Revision that its replicas run.")
    desired: Count = Field(default=0, description="Replicas that there should be.")
    ready: Count = Field(default=0, description="Replicas whose pods are Ready.")
    routable: Count = Field(default=0, description="Replicas that every gateway can send requests to.")
    updated: Count = Field(default=0, description="Replicas of the newest revision.")
    reason: Reason | None = Field(default=None, description="What the stage waits for, in one word.")
    message: Message | None = Field(default=None, description="The same in a sentence, naming the pod.")


class PipelineStatus(_Section):
    observed_generation: Generation | None = Field(
        default=None, description="metadata.generation that the operator has acted upon."
    )
    conditions: tuple[Condition, ...] = Field(
        default=(),
        strict=False,
        max_length=16,
        description="Accepted (the manifest is sound), ModelReady (the weights are there), Progressing (a change is "
        "being rolled out), Ready (a gateway reports every stage routable), Degraded (something is broken).",
    )
    stages: tuple[StageStatus, ...] = Field(
        default=(), strict=False, max_length=32, description="What stands of each stage."
    )
    ready_stages: Annotated[str, Field(max_length=16)] | None = Field(
        default=None, description="Routable stages of all stages, such as 3/4."
    )
    url: Annotated[str, Field(max_length=2048)] | None = Field(
        default=None, description="Base URL for an OpenAI client, /v1 included."
    )
    revision: Revision | None = Field(default=None, description="Revision that serves requests.")
    update_revision: Revision | None = Field(
        default=None, description="Revision that is being rolled out; absent when none is."
    )


class OmniStageSpec(_Section):
    pipeline: PipelineName = Field(description="OmniPipeline in the same namespace that the stage belongs to.")
    stage: StageName = Field(description="Name of the stage in that pipeline.")
    replicas: Replicas = Field(
        default=1, description="Running copies of the stage. `kubectl scale` and autoscalers set it."
    )


class OmniStageStatus(_Section):
    observed_generation: Generation | None = Field(
        default=None, description="metadata.generation that the operator has acted upon."
    )
    replicas: Count = Field(default=0, description="Running copies, of all revisions.")
    ready_replicas: Count = Field(default=0, description="Running copies whose pods are Ready.")
    selector: Annotated[str, Field(max_length=1024)] | None = Field(
        default=None, description="Label selector of the stage's pods, of all revisions: what autoscalers measure."
    )


class OmniStage(_Section):
    """One stage of an OmniPipeline, under a name that no rollout changes: what `kubectl scale` and autoscalers turn.
    The operator makes and removes it."""

    spec: OmniStageSpec = Field(description="Which stage, and how many copies of it.")
    status: OmniStageStatus | None = Field(default=None, description="What stands of the stage.")
