"""A thinker's engine and a talker's, and between them what the stages do: chunks go on, credit comes back."""

import math
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from omnipipe.engines.autoregressive.engine import AutoregressiveEngine
from omnipipe.engines.engine import Begin, Consumed, Drop, Emission, Failure, Feed, Finished, Result
from omnipipe.engines.kernels.native import NativeKernels
from omnipipe.engines.program import StageContext
from omnipipe.errors import RequestError
from omnipipe.spec.plan import EngineKind, EnginePlan
from omnipipe.wire.value import Value

__all__ = ["Duet", "Heard", "duet_of"]


@dataclass
class Heard:
    """What a request has got."""

    text: str = ""
    logprobs: list[dict[str, Value]] = field(default_factory=list)
    meta: dict[str, Value] | None = None
    speech: list[dict[str, Value]] = field(default_factory=list)
    codes: list[list[int]] = field(default_factory=list)
    error: RequestError | None = None
    text_ended: bool = False
    codes_ended: bool = False
    order: list[str] = field(default_factory=list)
    """Of `text` and `codes`, one a piece."""


class Duet:
    def __init__(self, thinker: AutoregressiveEngine, talker: AutoregressiveEngine) -> None:
        self.thinker = thinker
        self.talker = talker
        self.heard: dict[str, Heard] = {}
        self.consumed: dict[str, int] = {}

    def ask(self, rid: str, values: dict[str, Value], *, spoken: bool = True) -> Heard:
        heard = self.heard[rid] = Heard()
        ports = {"text", "speech"} if spoken else {"text"}
        self.thinker.offer(Begin(rid, values, frozenset(), frozenset(ports), {}, math.inf))
        if spoken:
            self.talker.offer(Begin(rid, {}, frozenset({"speech"}), frozenset({"codes"}), {}, math.inf))
        return heard

    def drop(self, rid: str) -> None:
        for engine in (self.thinker, self.talker):
            engine.offer(Drop(rid))

    def step_thinker(self) -> bool:
        if self.thinker.next_step(time.monotonic()) != 0.0:
            return False
        for result in self.thinker.step(time.monotonic()):
            self._thought(result)
        return True

    def step_talker(self) -> bool:
        if self.talker.next_step(time.monotonic()) != 0.0:
            return False
        for result in self.talker.step(time.monotonic()):
            self._said(result)
        return True

    def run(self, steps: int = 5000) -> None:
        for _ in range(steps):
            thought, said = self.step_thinker(), self.step_talker()
            if not thought and not said:
                return
        raise AssertionError("the engines never come to rest")

    def check_idle(self) -> None:
        for engine in (self.thinker, self.talker):
            assert engine.pool.held == 0
            assert engine.load().queued == engine.load().running == 0

    def _thought(self, result: Result) -> None:
        heard = self.heard[result.rid]
        match result:
            case Emission(port="text", value=value, last=last, meta=meta):
                if isinstance(value, dict):
                    heard.text += value.get("content", "")
                    heard.logprobs += value.get("logprobs", ())
                else:
                    heard.text += value
                heard.order.append("text")
                heard.text_ended |= last
                heard.meta = meta
            case Emission(rid=rid, port="speech", value=value, last=last):
                heard.speech.append(value)
                self.talker.offer(Feed(rid, "speech", value, last))
            case Failure(error=error):
                heard.error = error
            case Finished():
                assert heard.text_ended
            case _:
                raise AssertionError(result)

    def _said(self, result: Result) -> None:
        heard = self.heard[result.rid]
        match result:
            case Emission(port="codes", value=value, last=last):
                heard.codes += value["codes"].numpy().tolist()
                heard.order.append("codes")
                heard.codes_ended |= last
            case Failure(error=error):
                heard.error = error
            case Consumed(rid=rid, count=count):
                self.consumed[rid] = self.consumed.get(rid, 0) + count
            case Finished():
                assert heard.codes_ended
            case _:
                raise AssertionError(result)


@contextmanager
def duet_of(
    folder: Path,
    programs: tuple[Any, Any],
    *,
    thinker: dict[str, Any] | None = None,
    talker: dict[str, Any] | None = None,
    kernel: NativeKernels | None = None,
) -> Iterator[Duet]:
    """`programs`: the family's thinker and talker. The engines' options go over those of a small one."""
    source = folder.as_uri()
    made: Sequence[AutoregressiveEngine] = [
        AutoregressiveEngine(
            program(StageContext(name, source, {})),
            EnginePlan(kind=EngineKind.AUTOREGRESSIVE, **{"kv_bytes": 1 << 22, "max_batch": 16, **(options or {})}),
            stage=name,
            kernel=kernel,
        )
        for name, program, options in zip(("thinker", "talker"), programs, (thinker, talker), strict=True)
    ]
    try:
        yield Duet(*made)
    finally:
        for engine in made:
            engine.close()
