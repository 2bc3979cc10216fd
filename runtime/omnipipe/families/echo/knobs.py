"""What a test may ask of any echo stage: to delay, block, fail, crash, or emit other sizes than the words would.

Given in the manifest (`spec.stages[].params`, for all requests) or with a request (`stage_params`). The types and
ranges are in `graph`, once for both.
"""

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from omnipipe.errors import ErrorKind, RequestError
from omnipipe.families.echo.graph import FAMILY
from omnipipe.spec.family import ParamType
from omnipipe.spec.params import normal_param, param_problem
from omnipipe.spec.suggest import meant
from omnipipe.wire.value import Value

__all__ = ["CRASH_CODE", "Knobs", "check_knobs"]

CRASH_CODE = 13
"""Exit code of a stage that was told to crash."""


def check_knobs(kind: str, given: Mapping[str, Value], stage: str) -> None:
    """Raises RequestError naming the first knob that stages of type `kind` do not have, or not with that value."""
    types = _types(kind)
    for name, value in given.items():
        param = f"stage_params.{stage}.{name}"
        if name not in types:
            raise RequestError(ErrorKind.INVALID, f'{param}: unknown option "{name}"{meant(name, types)}', param=param)
        problem = param_problem(types[name], value)
        if problem is not None:
            raise RequestError(ErrorKind.INVALID, f"{param}: {problem}", param=param)


@dataclass(frozen=True, slots=True)
class Knobs:
    """All knobs of one request in one stage."""

    delay_s: float
    block_s: float
    fail: str
    fail_after: int
    crash: bool
    crash_after: int
    chunks: int
    chunk_bytes: int

    @classmethod
    def read(cls, kind: str, given: Mapping[str, Value]) -> Self:
        """`given` is checked; what it lacks is as the stage type has it."""
        values = {name: normal_param(param, given.get(name, param.default)) for name, param in _types(kind).items()}
        return cls(
            delay_s=float(values["delay_ms"]) / 1e3,
            block_s=float(values["block_ms"]) / 1e3,
            fail=str(values["fail"]),
            fail_after=int(values["fail_after"]),
            crash=bool(values["crash"]),
            crash_after=int(values["crash_after"]),
            chunks=int(values.get("chunks", 0)),
            chunk_bytes=int(values.get("chunk_bytes", 0)),
        )

    @property
    def one_at_a_time(self) -> bool:
        """Whether each chunk needs a step of its own, because something may happen before it."""
        return bool(self.delay_s or self.block_s or self.fail or self.crash)

    def strikes(self, given: int) -> bool:
        """Whether the stage is to fail or crash once it has given so many chunks or answers."""
        return bool(self.fail and given >= self.fail_after) or (self.crash and given >= self.crash_after)

    def strike(self, stage: str, given: int) -> None:
        """Blocks, crashes or fails as asked, before the next chunk."""
        if self.block_s:
            time.sleep(self.block_s)  # the point: it holds up the whole step, as a slow program would
        if self.crash and given >= self.crash_after:
            os._exit(CRASH_CODE)
        if self.fail and given >= self.fail_after:
            if self.fail == "request":
                raise RequestError(
                    ErrorKind.UNPROCESSABLE,
                    f"stage {stage} refused this request, as it was told to",
                    param=f"stage_params.{stage}.fail",
                )
            raise RuntimeError(f"stage {stage} failed, as it was told to")


def _types(kind: str) -> Mapping[str, ParamType]:
    stage = FAMILY.stage(kind)
    if stage is None:
        raise KeyError(f"the echo family has no stage type {kind!r}")
    return stage.params
