"""The Plan: a compiled pipeline, what a gateway or stage process reads at start.

The local supervisor and the operator both write it (`spec.compiler`), in the same format; nothing else decides what
runs where. It is data without behaviour beyond look-ups. Bump `PLAN_VERSION` when an older process could misread it.
"""

from enum import StrEnum
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_serializer
from pydantic_core import from_json

from omnipipe.spec.errors import PlanError

__all__ = [
    "PLAN_VERSION",
    "DraftPlan",
    "Dtype",
    "EdgeKind",
    "EngineKind",
    "EnginePlan",
    "GatewayPlan",
    "MediaPlan",
    "ParamValue",
    "Placement",
    "Plan",
    "PlanEdge",
    "PlanOutput",
    "PlanStage",
    "TransportPlan",
]

PLAN_VERSION = 1

ParamValue = bool | int | float | str
Dtype = Literal["auto", "float32", "bfloat16", "float16"]


class EdgeKind(StrEnum):
    PAYLOAD = "payload"  # one whole value
    STREAM = "stream"  # ordered chunks under credit


class EngineKind(StrEnum):
    BATCH = "batch"
    AUTOREGRESSIVE = "autoregressive"  # token after token


class Placement(StrEnum):
    """Where the engine runs relative to the stage's I/O loop."""

    INLINE = "inline"  # steps well under a millisecond
    THREAD = "thread"  # long steps that release the GIL


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class DraftPlan(_Frozen):
    """A small model that guesses what the stage's own will say."""

    source: str
    tokens: int = Field(default=4, ge=1, le=16)
    """Guessed at once, at most."""


class EnginePlan(_Frozen):
    kind: EngineKind = EngineKind.BATCH
    placement: Placement = Placement.INLINE
    max_batch: int = Field(default=32, ge=1, le=4096)
    """Jobs in one step."""
    max_cost: int | None = Field(default=None, ge=1)
    """Sum of the program's own `cost` over one step; None: no limit."""
    max_wait_ms: float = Field(default=0.0, ge=0.0, le=10_000.0)
    """How long a step may wait for a fuller batch; 0: never wait."""
    step_tokens: int = Field(default=1024, ge=1, le=1 << 20)
    """Autoregressive: positions in one step, prompts and new tokens together. A longer prompt comes in chunks, so this
    bounds how long it holds up the others' tokens."""
    kv_bytes: int | None = Field(default=None, ge=1)
    """Autoregressive: memory for keys and values; None: a share of what is free once the model is loaded."""
    block_tokens: int = Field(default=16, ge=1, le=256)
    """Autoregressive: positions in one block of that memory; prefixes are shared in whole blocks."""
    prefix_cache: bool = True
    """Autoregressive: keep the blocks of requests that have ended, for others that begin alike."""
    dtype: Dtype = "auto"
    """Autoregressive: what the model computes in; auto: what suits its weights and the hardware."""
    max_context: int | None = Field(default=None, ge=2, le=1 << 24)
    """Autoregressive: positions of one request, prompt and answer; None: what the model was made for."""
    fused_layers: bool = True
    """Autoregressive, on a CPU: compute decoder layers of a known kind in the kernel, in one call each."""
    gpu_kernels: bool = True
    """Autoregressive, on a GPU: attention in one kernel and decode steps as captured graphs, once both have shown that
    they give what plain operations give."""
    draft: DraftPlan | None = None
    """Autoregressive: speculative decoding."""


class PlanStage(_Frozen):
    name: str
    type: str = ""
    """The family's stage type, which `stage_params` are checked against; in a family's own graph equal to `name`."""
    program: str
    """`module:Class`, imported by the stage process only."""
    params: dict[str, ParamValue] = {}
    """All of the stage type's own options: what the manifest gave, checked, and the type's defaults for the rest."""
    engine: EnginePlan = EnginePlan()
    addresses: tuple[str, ...]
    """Where replicas listen: one `ipc://` or `tcp://` address a replica, or one `dns+tcp://service:port` that is
    resolved to all replicas again and again."""
    max_running: int = Field(default=256, ge=1)
    """Requests one replica works on at once; beyond it the replica reports itself full."""
    needs_input: frozenset[str] = frozenset()
    """The stage is part of a walk only when the request brings one of these modalities; empty: always."""

    @field_serializer("needs_input")
    def _in_order(self, modalities: frozenset[str]) -> list[str]:
        return sorted(modalities)


class PlanEdge(_Frozen):
    source: str
    target: str
    port: str
    """What the source's program calls it when it emits."""
    input: str
    """What the target's program calls it when it arrives."""
    kind: EdgeKind
    type: str
    """The type both ends declare (`text`, `json`, `tensor`, ...), for people and for validation."""
    window_chunks: int = Field(default=32, ge=1, le=65536)
    """Stream edges: chunks on the way before the producer's request pauses."""
    window_bytes: int = Field(default=8 << 20, ge=1)
    """Stream edges: bytes on the way before the producer's request pauses (one chunk may always go)."""


class PlanOutput(_Frozen):
    """What a pipeline answers with. Always a stream to the gateway: a whole value is one last chunk."""

    name: str
    """`text`, `audio`, ...: the modality a client asks for."""
    stage: str
    port: str
    type: str
    window_chunks: int = Field(default=64, ge=1, le=65536)
    window_bytes: int = Field(default=8 << 20, ge=1)


class TransportPlan(_Frozen):
    heartbeat_s: float = Field(default=0.2, gt=0, le=60)
    dead_after_s: float = Field(default=0.9, gt=0, le=600)
    """No sign of life for this long: the peer is dead. Under a second, so that a client sees a retry, not a wait."""
    stalled_after_s: float = Field(default=120.0, gt=0)
    """An engine step that takes longer than this counts as a dead replica (compiling a model takes tens of seconds)."""
    inline_limit_bytes: int = Field(default=32 << 10, ge=0)
    """Smaller tensors travel in the message, larger ones through shared memory where both ends can."""
    shm_bytes: int = Field(default=256 << 20, ge=1 << 20)
    """Shared memory one process lends at most; beyond it tensors travel in the message."""
    max_message_bytes: int = Field(default=256 << 20, ge=1 << 10)
    curve: bool = False
    """TCP connections are encrypted and authenticated; the keys come from the files that the process is given."""


class MediaPlan(_Frozen):
    """What media requests may bring, and where the gateway fetches it from. Limits are for one piece, but for those
    that say otherwise."""

    allowed_hosts: tuple[str, ...] = ()
    """Host names, `*.example.com` for all below one, `*` for any with a public address. Empty: nothing is fetched."""
    allowed_networks: tuple[str, ...] = ()
    """In CIDR notation: their addresses are fetched from although they are not public."""
    allowed_folders: tuple[str, ...] = ()
    """Absolute paths in the gateway's file system, that file: URLs may lead below."""
    max_items: int = Field(default=32, ge=1, le=1024)
    """Of one request."""
    max_bytes: int = Field(default=64 << 20, ge=1)
    max_total_bytes: int = Field(default=128 << 20, ge=1)
    """Of one request, all together; a message to a stage (`TransportPlan.max_message_bytes`) holds no more anyway."""
    max_pixels: int = Field(default=1 << 25, ge=1)
    max_seconds: float = Field(default=1800.0, gt=0)
    fetch_timeout_s: float = Field(default=30.0, gt=0)
    """For all fetches of one request, redirects included."""


class GatewayPlan(_Frozen):
    served_names: tuple[str, ...]
    """The `model` values that mean this pipeline; the first is the one that answers carry."""
    max_in_flight: int = Field(default=256, ge=1)
    max_queued: int = Field(default=1024, ge=0)
    queue_timeout_s: float = Field(default=30.0, gt=0)
    request_timeout_s: float = Field(default=600.0, gt=0)
    max_retries: int = Field(default=2, ge=0, le=10)
    media: MediaPlan = MediaPlan()


class Plan(_Frozen):
    version: Literal[1] = 1
    pipeline: str
    namespace: str = "default"
    revision: str
    """Hash of everything that makes two cohorts differ. A request never crosses revisions."""
    family: str
    source: str | None = None
    """The model's source URL, None for a family without weights."""
    stages: tuple[PlanStage, ...]
    edges: tuple[PlanEdge, ...]
    outputs: tuple[PlanOutput, ...]
    gateway: GatewayPlan
    transport: TransportPlan = TransportPlan()

    def stage(self, name: str) -> PlanStage:
        return next(s for s in self.stages if s.name == name)

    def to_json(self) -> str:
        """Stable text: the same plan is the same bytes."""
        return self.model_dump_json(indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """Raises PlanError, in words that say which side to upgrade."""
        try:
            raw = from_json(text)
        except ValueError as error:
            raise PlanError(f"the plan is not JSON: {error}") from error
        if not isinstance(raw, dict):
            raise PlanError("the plan is not a JSON object")
        version = raw.get("version", PLAN_VERSION)
        if version != PLAN_VERSION:
            side = "this process" if isinstance(version, int) and version > PLAN_VERSION else "whatever wrote the plan"
            raise PlanError(f"the plan has version {version!r}, this process reads {PLAN_VERSION}: upgrade {side}")
        try:
            return cls.model_validate_json(text)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            where = ".".join(map(str, first["loc"]))
            raise PlanError(f"the plan does not fit version {PLAN_VERSION}: {where}: {first['msg']}") from error
