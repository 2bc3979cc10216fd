"""The echo pipeline in one thread: the real programs in real engines, joined the way the plan says. No sockets, and a
clock of its own, so that delays cost no time."""

import time
from dataclasses import dataclass, field
from importlib import import_module

from omnipipe.engines.batch import BatchEngine
from omnipipe.engines.engine import Begin, Consumed, Emission, Failure, Feed, Finished, Result
from omnipipe.engines.program import StageContext
from omnipipe.errors import RequestError
from omnipipe.families.registry import family_names, find_family, load_requests
from omnipipe.families.requests import AudioOptions, Message, Part, TextRequest
from omnipipe.spec.plan import EdgeKind, Plan, PlanStage
from omnipipe.spec.reader import read_object
from omnipipe.wire.value import Value

RID = "r1"


def echo_plan() -> Plan:
    manifest = {
        "apiVersion": "omnipipe.dev/v1alpha1",
        "kind": "OmniPipeline",
        "metadata": {"name": "assistant"},
        "spec": {"model": {"family": "echo"}},
    }
    one = read_object(manifest, find_family, family_names())
    return one.compile(lambda stage, replica: f"ipc:///{stage}-{replica}")


class Clock:
    def __init__(self) -> None:
        self.now = time.monotonic()

    def __call__(self) -> float:
        return self.now


class Stage:
    """One engine and what came out of it."""

    def __init__(self, stage: PlanStage, clock: Clock) -> None:
        module, _, name = stage.program.partition(":")
        program = getattr(import_module(module), name)(StageContext(stage.name, None, stage.params))
        self.engine = BatchEngine(program, stage.engine, clock, stage=stage.name)
        self._clock = clock

    def run(self) -> list[Result]:
        """Until only new work could make another step; the clock jumps over every delay."""
        results: list[Result] = []
        while (wait := self.engine.next_step(self._clock.now)) is not None:
            if wait > 3600:
                break
            self._clock.now += wait
            results += self.engine.step(self._clock.now)
        return results


@dataclass
class Answer:
    pieces: dict[str, list[Emission]] = field(default_factory=dict)
    error: RequestError | None = None
    ran: list[str] = field(default_factory=list)
    """Stages that took part, in order."""
    waited_s: float = 0.0

    def text(self) -> str:
        return "".join(piece.value for piece in self.pieces["text"])

    def meta(self, output: str) -> dict[str, Value]:
        *others, last = self.pieces[output]
        assert last.last
        assert last.meta is not None
        assert not any(piece.last for piece in others)
        return last.meta


def ask(
    text: str,
    *outputs: str,
    voice: str = "alloy",
    stage_params: dict[str, dict[str, Value]] | None = None,
    **options: Value,
) -> Answer:
    """One request through all stages that it needs, one after the other."""
    family = find_family("echo")
    assert family is not None
    wanted = frozenset(outputs or ("text",))
    audio = AudioOptions(voice, "wav") if "audio" in wanted else None
    message = Message("user", (Part("text", text),))
    entry = load_requests(family).entry(TextRequest("chat", (message,), wanted, audio, dict(options)))
    return _run(echo_plan(), entry.value, wanted, stage_params or {})


def _run(plan: Plan, request: Value, wanted: frozenset[str], params: dict[str, dict[str, Value]]) -> Answer:
    clock = Clock()
    start = clock.now
    answer = Answer()
    walk = {output.stage for output in plan.outputs if output.name in wanted}
    for edge in reversed(plan.edges):
        walk |= {edge.source} if edge.target in walk else set()
    inbox: dict[str, list[tuple[str, Emission]]] = {stage.name: [] for stage in plan.stages}
    for spec in (stage for stage in plan.stages if stage.name in walk):
        edges = [edge for edge in plan.edges if edge.source == spec.name and edge.target in walk]
        outputs = [output for output in plan.outputs if output.stage == spec.name and output.name in wanted]
        streams = frozenset(e.input for e in plan.edges if e.target == spec.name and e.kind is EdgeKind.STREAM)
        whole = {name: emission.value for name, emission in inbox[spec.name] if name not in streams}
        ports = frozenset(edge.port for edge in edges) | frozenset(output.port for output in outputs)
        stage = Stage(spec, clock)
        inputs = whole or ({} if streams else {"request": request})
        stage.engine.offer(Begin(RID, inputs, streams, ports, params.get(spec.name, {}), clock.now + 86400.0))
        for name, emission in inbox[spec.name]:
            if name in streams:
                stage.engine.offer(Feed(RID, name, emission.value, emission.last))
        answer.ran.append(spec.name)
        for result in stage.run():
            match result:
                case Emission():
                    for edge in edges:
                        if edge.port == result.port:
                            inbox[edge.target].append((edge.input, result))
                    for output in outputs:
                        if output.port == result.port:
                            answer.pieces.setdefault(output.name, []).append(result)
                case Failure():
                    answer.error = result.error
                    answer.waited_s = clock.now - start
                    return answer
                case Finished() | Consumed():
                    pass
    answer.waited_s = clock.now - start
    return answer
