"""Pipelines for unit tests of the gateway: a plan, a scripted coordinator, a family's requests."""

from collections.abc import Mapping, Sequence

from msgspec import to_builtins

from omnipipe.coordinator.fake import FakeCoordinator
from omnipipe.families.echo.requests import EchoRequests
from omnipipe.families.requests import (
    Capability,
    DetokenizeRequest,
    EmbedRequest,
    Entry,
    MediaKind,
    Requests,
    TextRequest,
    TokenizeRequest,
)
from omnipipe.gateway.openai.fields import CHAT_FIELDS, COMPLETION_FIELDS
from omnipipe.gateway.openai.order import Limits
from omnipipe.gateway.served import Served
from omnipipe.spec.plan import GatewayPlan, Plan, PlanOutput, PlanStage
from omnipipe.wire.value import Value

__all__ = ["LIMITS", "EverythingRequests", "SamplingRequests", "plan", "served"]

LIMITS = Limits(max_choices=16, events=False)


class SamplingRequests:
    """A family that honours what a language model does, and says what it was asked."""

    capabilities: frozenset[Capability] = frozenset({"chat", "completion"})
    options = frozenset(
        {"temperature", "top_p", "seed", "n", "stop", "max_tokens", "logit_bias", "response_format", "logprobs"}
    )
    media: frozenset[MediaKind] = frozenset({"image", "audio", "video"})
    voices = frozenset({"alloy"})
    audio_formats = frozenset({"wav", "pcm16", "mp3"})
    sample_rate_hz = 24_000

    def entry(self, request: TextRequest) -> Entry:
        return Entry({"options": request.options, "said": request.messages[-1].parts[-1].text}, frozenset({"text"}))

    def check_stage_params(self, stage: str, params: Mapping[str, Value]) -> None:
        return None


class EverythingRequests(SamplingRequests):
    """A family that can be asked for all there is, and remembers what it was asked."""

    capabilities: frozenset[Capability] = frozenset({"chat", "completion", "embed", "tokenize"})
    options = CHAT_FIELDS.options | COMPLETION_FIELDS.options | {"n", "echo"}

    def __init__(self) -> None:
        self.heard: list[TextRequest | EmbedRequest | TokenizeRequest | DetokenizeRequest] = []

    def entry(self, request: TextRequest) -> Entry:
        return self._entry(request)

    def entry_embed(self, request: EmbedRequest) -> Entry:
        return self._entry(request)

    def entry_tokenize(self, request: TokenizeRequest) -> Entry:
        return self._entry(request)

    def entry_detokenize(self, request: DetokenizeRequest) -> Entry:
        return self._entry(request)

    def _entry(self, request: TextRequest | EmbedRequest | TokenizeRequest | DetokenizeRequest) -> Entry:
        self.heard.append(request)
        return Entry(to_builtins(request, builtin_types=(bytes,)), frozenset({"text"}))


def plan(*names: str, outputs: Sequence[str] = ("text", "audio"), stages: Mapping[str, str] | None = None) -> Plan:
    """`stages`: name -> type."""
    types = stages or {"compose": "compose", "synth": "synth"}
    return Plan(
        pipeline=names[0],
        revision="r1",
        family="echo",
        stages=tuple(
            PlanStage(name=name, type=kind, program="none:None", addresses=(f"ipc:///nowhere/{name}",))
            for name, kind in types.items()
        ),
        edges=(),
        outputs=tuple(PlanOutput(name=name, stage=next(iter(types)), port=name, type=name) for name in outputs),
        gateway=GatewayPlan(served_names=names),
    )


def served(
    *names: str,
    requests: Requests | None = None,
    outputs: Sequence[str] = ("text", "audio"),
    stages: Mapping[str, str] | None = None,
) -> Served:
    made = plan(*(names or ("echo",)), outputs=outputs, stages=stages)
    return Served(made, FakeCoordinator(made), requests or EchoRequests())
