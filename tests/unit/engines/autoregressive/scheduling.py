"""A scheduler with a model that computes nothing: each sampled token is a number."""

from omnipipe.engines.autoregressive.blocks import BlockPool
from omnipipe.engines.autoregressive.scheduler import Scheduler, Slice
from omnipipe.engines.autoregressive.sequence import Sequence, State

__all__ = ["Bench"]


class Bench:
    """Runs steps and checks, after each, what must hold after any."""

    def __init__(
        self, *, blocks: int = 64, block_tokens: int = 4, max_batch: int = 8, step_tokens: int = 32, reuse: bool = True
    ) -> None:
        self.pool = BlockPool(blocks, reuse=reuse)
        self.block_tokens = block_tokens
        self.step_tokens = step_tokens
        self.max_batch = max_batch
        self.scheduler = Scheduler(self.pool, block_tokens=block_tokens, max_batch=max_batch, step_tokens=step_tokens)
        self.live: dict[str, Sequence] = {}
        self.done: list[str] = []
        self.written: dict[int, tuple[int, ...]] = {}
        """Block -> what was written into it: the tokens up to the end of the block."""

    def add(
        self, rid: str, prompt: list[int] | int, new: int = 4, *, priority: int = 0, held: bool = False
    ) -> Sequence:
        tokens = [hash((rid, i)) % 1000 for i in range(prompt)] if isinstance(prompt, int) else list(prompt)
        sequence = Sequence(rid, tokens, limit=len(tokens) + new, priority=priority, held=held)
        assert self.scheduler.fits(sequence.limit)
        self.scheduler.add(sequence)
        self.live[rid] = sequence
        return sequence

    def drop(self, rid: str) -> None:
        self.scheduler.remove(self.live.pop(rid))
        self.check()

    def step(self) -> dict[str, Slice]:
        ready = self.scheduler.ready()
        slices = self.scheduler.schedule()
        assert bool(slices) == ready
        self._check_step(slices)
        for piece in slices:
            self._write(piece)
            self.scheduler.computed(piece)
        for piece in slices:
            if piece.samples:
                sequence = piece.sequence
                sequence.append(len(sequence.tokens) % 7)
                if len(sequence.tokens) >= sequence.limit:
                    self.scheduler.remove(self.live.pop(sequence.rid))
                    self.done.append(sequence.rid)
        self.check()
        return {piece.sequence.rid: piece for piece in slices}

    def run(self, steps: int = 10_000) -> int:
        for taken in range(steps):
            if not self.scheduler.ready():
                return taken
            self.step()
        raise AssertionError(f"not done after {steps} steps: {self.live}")

    def check(self) -> None:
        scheduler = self.scheduler
        self.pool.check([s.blocks for s in scheduler.running])
        assert {*scheduler.running, *scheduler.waiting} == set(self.live.values())
        assert all(s.state is State.RUNNING for s in scheduler.running)
        assert all(s.state is State.WAITING and not s.blocks and not s.computed for s in scheduler.waiting)
        for sequence in scheduler.running:
            assert len(sequence.blocks) * self.block_tokens >= sequence.computed
            for index, block in enumerate(sequence.blocks):
                end = min((index + 1) * self.block_tokens, sequence.computed)
                if end > index * self.block_tokens:
                    assert self.written[block][:end] == tuple(sequence.tokens[:end])

    def _check_step(self, slices: list[Slice]) -> None:
        assert sum(piece.size for piece in slices) <= self.scheduler.step_tokens
        assert len(slices) <= self.max_batch
        assert len({piece.sequence for piece in slices}) == len(slices)
        for piece in slices:
            sequence = piece.sequence
            assert piece.size > 0
            assert not sequence.paused
            assert piece.start == sequence.computed
            assert len(sequence.blocks) * self.block_tokens >= piece.start + piece.size

    def _write(self, piece: Slice) -> None:
        size, sequence = self.block_tokens, piece.sequence
        for index in range(piece.start // size, -(-(piece.start + piece.size) // size)):
            end = min((index + 1) * size, piece.start + piece.size)
            block = sequence.blocks[index]
            holders = [s for s in self.scheduler.running if block in s.blocks]
            assert holders == [sequence], "a shared block was written"
            self.written[block] = tuple(sequence.tokens[:end])
