"""Programs that do what the test tells them."""

from collections.abc import Callable, Sequence

from omnipipe.engines.program import Job, Outcome, StageContext

Run = Callable[[Sequence[Job]], Sequence[Outcome | Exception]]


class Told:
    """Runs a function, and remembers which requests ran together."""

    def __init__(self, run: Run, cost: Callable[[Job], int] = lambda job: 1) -> None:
        self._run = run
        self._cost = cost
        self.batches: list[list[str]] = []

    @classmethod
    def each(cls, one: Callable[[Job], Outcome | Exception], cost: Callable[[Job], int] = lambda job: 1) -> "Told":
        return cls(lambda batch: [one(job) for job in batch], cost)

    def __call__(self, context: StageContext) -> "Told":
        return self

    def cost(self, job: Job) -> int:
        return self._cost(job)

    def run(self, batch: Sequence[Job]) -> Sequence[Outcome | Exception]:
        self.batches.append([job.rid for job in batch])
        return self._run(batch)
