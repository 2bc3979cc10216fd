"""The manifest: what `kind: OmniPipeline` may say, field by field.

The CRD's schema comes from these models, so the descriptions are what `kubectl explain` prints. A field is here only
when it has an effect; rules between fields are in `rules` and `resolve`. Types are strict: `"2"` is not 2.
"""

from typing import Annotated, Literal

from pydantic import Field

from omnipipe.spec.cluster_fields import (
    Autoscaling,
    Cache,
    DisruptionBudget,
    GatewayService,
    HttpRoute,
    Ingress,
    Monitoring,
    NetworkPolicy,
    Rollout,
)
from omnipipe.spec.media import MediaSpec
from omnipipe.spec.plan import Dtype, Placement
from omnipipe.spec.pods import KeyRef, PodFields, StagePodFields
from omnipipe.spec.scalars import (
    Annotation,
    LabelKey,
    LabelValue,
    ModelName,
    Namespace,
    NewStageName,
    ParamName,
    ParamScalar,
    PipelineName,
    PortName,
    Seconds,
    SourceUrl,
    StageName,
    TypeName,
)
from omnipipe.spec.section import Section

__all__ = [
    "API_VERSION",
    "KIND",
    "DraftSpec",
    "EdgeSpec",
    "EngineSpec",
    "GatewaySpec",
    "Metadata",
    "ModelSpec",
    "OutputSpec",
    "Pipeline",
    "PipelineSpec",
    "StageSpec",
    "TransportSpec",
]

API_VERSION = "omnipipe.dev/v1alpha1"
KIND = "OmniPipeline"

_MIB = 1 << 20


class Metadata(Section):
    name: PipelineName = Field(
        description="Name of the pipeline, and the model id that clients use unless spec.gateway.servedModelNames "
        "says otherwise. Lowercase letters, digits and '-', beginning with a letter; at most 30 characters, so that "
        "the names of its children fit into 63."
    )
    namespace: Namespace = Field(default="default", description="Namespace on a cluster; a label on one machine.")
    labels: dict[LabelKey, LabelValue] = Field(default={}, max_length=64, description="Kubernetes labels.")
    annotations: dict[LabelKey, Annotation] = Field(
        default={}, max_length=64, description="Kubernetes annotations: free text that selects nothing."
    )


class ModelSpec(Section):
    family: TypeName = Field(
        description="Model family: the recipe of stages and edges. `omnipipe families` lists what is installed."
    )
    source: SourceUrl | None = Field(
        default=None,
        description="Where the weights come from, as scheme://location: hf, file, pvc, s3, oci or builtin. Which of "
        "them a family loads, and whether it needs one, is the family's to say.",
    )
    cache: Cache = Field(default=Cache(), description="Where the weights are kept on a cluster.")
    token_secret: KeyRef | None = Field(
        default=None, description="Secret with the token that opens the source to the pods that fetch it, for hf://."
    )


class EngineSpec(Section):
    """When the stage computes. What is left out is as the family's stage type has it."""

    max_batch: Annotated[int, Field(ge=1, le=4096)] | None = Field(
        default=None, description="Requests in one engine step, 1 to 4096."
    )
    max_cost: Annotated[int, Field(ge=1, le=1 << 40)] | None = Field(
        default=None,
        description="Sum of the program's own cost (tokens, pixels, samples) over one step; left out: no limit.",
    )
    max_wait_ms: Annotated[float, Field(ge=0, le=10_000)] | None = Field(
        default=None, description="Milliseconds a step may wait for a fuller batch; 0 never waits."
    )
    placement: Placement | None = Field(
        default=None,
        strict=False,
        description="Where the engine runs: inline, in the stage's I/O loop (steps under a millisecond), or thread, "
        "beside it (long steps that release the GIL).",
    )
    step_tokens: Annotated[int, Field(ge=1, le=1 << 20)] | None = Field(
        default=None,
        description="Autoregressive engines: positions in one step, prompts and new tokens together (1024). A longer "
        "prompt comes in chunks, so this bounds how long it holds up the tokens of others.",
    )
    kv_bytes: Annotated[int, Field(ge=1, le=1 << 44)] | None = Field(
        default=None,
        description="Autoregressive engines: memory for the KV cache; left out: a share of what is free once the "
        "model is loaded.",
    )
    block_tokens: Annotated[int, Field(ge=1, le=256)] | None = Field(
        default=None,
        description="Autoregressive engines: positions in a block of the KV cache, in which prefixes are shared (16).",
    )
    prefix_cache: bool | None = Field(
        default=None,
        description="Autoregressive engines: keep the KV of ended requests for others that begin alike (true).",
    )
    dtype: Dtype | None = Field(
        default=None,
        description="Autoregressive engines: what the model computes in; auto: what suits its weights and the "
        "hardware.",
    )
    max_context: Annotated[int, Field(ge=2, le=1 << 24)] | None = Field(
        default=None,
        description="Autoregressive engines: positions of one request, prompt and answer together; left out: what the "
        "model was made for.",
    )
    fused_layers: bool | None = Field(
        default=None,
        description="Autoregressive engines on a CPU: compute decoder layers of a known kind whole, in one call of the "
        "kernel each (true). Layers that do not give what the model's own code gives are left as they are.",
    )
    gpu_kernels: bool | None = Field(
        default=None,
        description="Autoregressive engines on a GPU: compute attention in one kernel, and capture decode steps as "
        "CUDA graphs (true). Either is used once it has given, on that GPU, what plain operations give, and is given "
        "up when it fails; false: plain operations alone.",
    )


class DraftSpec(Section):
    """Speculative decoding: answers stay what they are, and come sooner."""

    source: SourceUrl = Field(
        description="Where the draft model's weights come from: a small model with the vocabulary of the stage's own. "
        "On a cluster: hf:// beside a model from hf://, pvc:// on the claim of a model from pvc://, or builtin://."
    )
    tokens: int = Field(default=4, ge=1, le=16, description="Tokens that are guessed at once, at most.")


class StageSpec(Section):
    name: NewStageName = Field(
        description="Name of the stage. Without spec.edges: the stage of the family that this entry overrides. "
        "Lowercase letters, digits and '-', at most 20 characters; not gateway or plan."
    )
    type: TypeName | None = Field(
        default=None,
        description="Stage type of the family that this stage runs; left out: the type called as the stage is.",
    )
    replicas: Annotated[int, Field(ge=1, le=1000)] | None = Field(
        default=None,
        description="Running copies of the stage. Left out: one, or on a cluster as many as `kubectl scale omnistage` "
        "or the autoscaler says.",
    )
    autoscaling: Autoscaling | None = Field(
        default=None, description="A HorizontalPodAutoscaler on the stage's OmniStage, instead of replicas."
    )
    max_running: int = Field(
        default=256, ge=1, le=65536, description="Requests one replica works on at once; beyond it, it counts as full."
    )
    engine: EngineSpec = Field(default=EngineSpec(), description="How requests are put together into engine steps.")
    draft: DraftSpec | None = Field(
        default=None,
        description="A draft model that guesses tokens for the stage's own model to check several in one step. For "
        "stages with an autoregressive engine.",
    )
    params: dict[ParamName, ParamScalar] = Field(
        default={},
        max_length=64,
        description="The stage type's own options, under the names that the family gives them.",
    )
    pod: StagePodFields = Field(
        default=StagePodFields(), description="The stage's pods, where they differ from spec.pod."
    )


class EdgeSpec(Section):
    source: StageName = Field(alias="from", description="Stage that the data comes from.")
    target: StageName = Field(alias="to", description="Stage that the data goes to.")
    port: PortName | None = Field(
        default=None,
        description="Port of the source; may be left out when only one fits the target, or is called as its input.",
    )
    input: PortName | None = Field(
        default=None,
        description="Input of the target; may be left out when only one fits the source, or is called as its port.",
    )
    window_chunks: Annotated[int, Field(ge=1, le=65536)] | None = Field(
        default=None,
        description="Stream edges: chunks on the way, unconsumed, before the producing request pauses (32).",
    )
    window_bytes: Annotated[int, Field(ge=1, le=16 << 30)] | None = Field(
        default=None,
        description="Stream edges: bytes on the way, unconsumed, before the producing request pauses (8388608).",
    )


class OutputSpec(Section):
    name: PortName = Field(description="Modality that a client asks for, as the family calls it: text, audio.")
    stage: StageName = Field(description="Stage that produces it.")
    port: PortName | None = Field(
        default=None, description="Port of the stage; may be left out when only one is of the output's type."
    )


class GatewaySpec(Section):
    served_model_names: tuple[ModelName, ...] | None = Field(
        default=None,
        strict=False,
        min_length=1,
        max_length=16,
        description="Values of `model` in a client's request that mean this pipeline; answers carry the first. Left "
        "out: metadata.name.",
    )
    max_in_flight: int = Field(default=256, ge=1, le=65536, description="Requests that run at once in one gateway.")
    max_queued: int = Field(
        default=1024,
        ge=0,
        le=1_000_000,
        description="Requests that wait beyond maxInFlight; then 429.",
    )
    queue_timeout_seconds: Seconds = Field(
        default=30.0, le=3600, description="How long a request waits in the queue before it is refused."
    )
    request_timeout_seconds: Seconds = Field(
        default=600.0, le=86400, description="How long a request may take from admission to its end."
    )
    max_retries: int = Field(
        default=2,
        ge=0,
        le=10,
        description="Further attempts on other replicas when a stage dies before anything has reached the client.",
    )
    media: MediaSpec = Field(
        default=MediaSpec(), description="What media requests may bring, and where it is fetched from."
    )
    replicas: int = Field(default=1, ge=1, le=1000, description="Running copies of the gateway on a cluster.")
    api_keys_secret: KeyRef | None = Field(
        default=None,
        description="Secret with the keys that clients may use, one a line; left out: no key is asked for.",
    )
    service: GatewayService = Field(default=GatewayService(), description="The Service that clients talk to.")
    ingress: Ingress | None = Field(default=None, description="An Ingress to that Service.")
    http_route: HttpRoute | None = Field(
        default=None, description="An HTTPRoute (of the Gateway API) to that Service, where the cluster has that kind."
    )
    pod: PodFields = Field(default=PodFields(), description="The gateway's pods, where they differ from spec.pod.")


class TransportSpec(Section):
    heartbeat_seconds: Seconds = Field(
        default=0.2, ge=0.01, le=60, description="How often each side of a connection gives a sign of life."
    )
    dead_after_seconds: Seconds = Field(
        default=0.9,
        le=600,
        description="No sign of life for this long: the peer is dead and its requests run elsewhere. At least twice "
        "heartbeatSeconds.",
    )
    stalled_after_seconds: Seconds = Field(
        default=120.0,
        le=86400,
        description="An engine step longer than this counts as a dead replica. More than deadAfterSeconds.",
    )
    inline_limit_bytes: int = Field(
        default=32 << 10,
        ge=0,
        le=1 << 30,
        description="Smaller tensors travel in the message, larger ones through shared memory where both ends can.",
    )
    shared_memory_bytes: int = Field(
        default=256 * _MIB,
        ge=_MIB,
        le=1 << 40,
        description="Shared memory that one process lends at most; beyond it tensors travel in the message.",
    )
    max_message_bytes: int = Field(
        default=256 * _MIB,
        ge=1 << 10,
        le=2 << 30,
        description="Largest message that a process sends or accepts. More than inlineLimitBytes.",
    )


class PipelineSpec(Section):
    model: ModelSpec = Field(description="Which model is served.")
    stages: tuple[StageSpec, ...] = Field(
        default=(),
        strict=False,
        max_length=32,
        description="Overrides of the family's stages, by name; with spec.edges: all stages of the graph.",
    )
    edges: tuple[EdgeSpec, ...] | None = Field(
        default=None,
        strict=False,
        max_length=64,
        description="A graph of your own. Then spec.stages and spec.outputs are the whole of it, and nothing of the "
        "family's graph is taken over.",
    )
    outputs: tuple[OutputSpec, ...] | None = Field(
        default=None,
        strict=False,
        min_length=1,
        max_length=16,
        description="What the pipeline answers with; needed with spec.edges, and only then.",
    )
    gateway: GatewaySpec = Field(default=GatewaySpec(), description="Names, admission and deadlines.")
    transport: TransportSpec = Field(default=TransportSpec(), description="How the processes talk to each other.")
    pod: StagePodFields = Field(default=StagePodFields(), description="What all pods of the pipeline have in common.")
    rollout: Rollout = Field(default=Rollout(), description="How a change of the model or the graph takes place.")
    suspend: bool = Field(
        default=False, description="Stop all pods and keep everything else; requests find nobody until it is removed."
    )
    paused: bool = Field(
        default=False, description="Leave everything in the cluster as it is, changes included; status is still told."
    )
    network_policy: NetworkPolicy = Field(
        default=NetworkPolicy(), description="Who may reach the pods over the network."
    )
    monitoring: Monitoring = Field(default=Monitoring(), description="Whether and how Prometheus finds the pods.")
    disruption_budget: DisruptionBudget = Field(
        default=DisruptionBudget(), description="How many pods may be gone at once when nodes are drained."
    )


class Pipeline(Section):
    """One `OmniPipeline` object."""

    api_version: Literal["omnipipe.dev/v1alpha1"]
    kind: Literal["OmniPipeline"]
    metadata: Metadata
    spec: PipelineSpec

    @property
    def name(self) -> str:
        return self.metadata.name
