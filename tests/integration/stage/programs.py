"""Programs for stage processes under test. They do what the request's params say."""

import time
from collections.abc import Sequence
from pathlib import Path

from omnipipe.engines.program import Emit, Job, Outcome, StageContext
from omnipipe.wire.value import Value


class Speak:
    """An entry stage: `count` chunks of `size` bytes on `text` and `words`, one a step, `delay_s` before each (others
    go on) or `block_s` in each (nobody goes on), or `block_until` there is a file."""

    def __init__(self, context: StageContext) -> None:
        if context.params.get("broken"):
            raise RuntimeError("no weights\nhere")

    def cost(self, job: Job) -> int:
        return 1

    def run(self, batch: Sequence[Job]) -> Sequence[Outcome | Exception]:
        return [self._one(job) for job in batch]

    def _one(self, job: Job) -> Outcome:
        params = job.params
        delay_s = params.get("delay_s", 0.0)
        said = job.state if isinstance(job.state, int) else 0
        if delay_s and job.state is None:
            job.state = 0
            return Outcome(then="again", after_s=delay_s)
        time.sleep(params.get("block_s", 0.0))
        while "block_until" in params and not Path(params["block_until"]).exists():
            time.sleep(0.01)
        job.state = said + 1
        last = said + 1 >= params.get("count", 1)
        value: Value = str(said).ljust(params.get("size", 1), ".")
        meta: dict[str, Value] | None = {"finish_reason": "stop"} if last else None
        return Outcome(
            [Emit("text", value, last, meta), Emit("words", value, last)], "done" if last else "again", delay_s
        )


class Sing:
    """Each chunk of `words` comes out on `audio`."""

    def __init__(self, context: StageContext) -> None:
        return None

    def cost(self, job: Job) -> int:
        return 1

    def run(self, batch: Sequence[Job]) -> Sequence[Outcome | Exception]:
        return [self._one(job) for job in batch]

    def _one(self, job: Job) -> Outcome:
        words, ended = job.chunks["words"], "words" in job.ended
        emits = [Emit("audio", word, ended and at == len(words) - 1) for at, word in enumerate(words)]
        return Outcome(emits, "done" if ended else "wait")
