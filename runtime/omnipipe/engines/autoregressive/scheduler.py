"""What the next step computes: which positions of which sequences, and whose blocks make room for it.

    waiting ──admit──► running ──slices──► (the runner) ──computed──► running
       ▲                  │
       └───── preempt ────┘   (blocks given up; computed again later, often from the prefix cache)

In this order: one position for each sequence that generates, then the prompts of those that run, then new ones, all
under one budget of positions, so that long prompts come in chunks beside the others' tokens. Smaller `priority` goes
first, then who came first; nobody is overtaken for ever. Pure: no torch, no clock, no I/O.
"""

from bisect import insort
from dataclasses import dataclass, field

from omnipipe.engines.autoregressive.blocks import BlockPool
from omnipipe.engines.autoregressive.sequence import Sequence, State

__all__ = ["Scheduler", "Slice"]


@dataclass(slots=True)
class Slice:
    """Positions `start` to `start + size` of a sequence, in one step."""

    sequence: Sequence
    start: int
    size: int
    samples: bool
    """Its last position gives the next token."""
    guesses: list[int] = field(default_factory=list)
    """Tokens behind the slice that may turn out to be the next ones: they are computed with it, and each of their
    positions gives a token, too."""

    @property
    def rows(self) -> int:
        """Positions, guesses included."""
        return self.size + len(self.guesses)

    @property
    def scored(self) -> range:
        """Positions whose logits tell how likely the prompt's next token was, and are asked for."""
        sequence = self.sequence
        if sequence.scored >= sequence.to_score:
            return range(0)
        start, end = max(self.start, sequence.scored), min(self.start + self.size, sequence.to_score)
        return range(start, max(start, end))

    @property
    def ids(self) -> list[int]:
        """What the model is given."""
        return self.sequence.tokens[self.start : self.start + self.size] + self.guesses


class Scheduler:
    """In one step at most `max_batch` sequences, `step_tokens` positions, and the logits of `score_rows` positions of
    prompts."""

    def __init__(
        self, pool: BlockPool, *, block_tokens: int, max_batch: int, step_tokens: int, score_rows: int = 1 << 10
    ) -> None:
        self.pool = pool
        self.waiting: list[Sequence] = []
        self.running: list[Sequence] = []
        """Both in order of rank."""
        self.step_tokens = max(step_tokens, max_batch)
        """For now: see `shrink`."""
        self._most_tokens = self.step_tokens
        self.preemptions = 0
        self.hit_tokens = 0
        """Positions taken from the prefix cache, so far, and those that were looked for."""
        self.asked_tokens = 0
        self._block_tokens = block_tokens
        self._max_batch = max_batch
        self._score_rows = score_rows
        self._scores = 0
        """Of how many positions this step may still have the logits."""
        self._arrivals = 0
        self._steps = 0
        self._spare = 0
        """Positions that the step has room for beyond its slices."""
        self._slices: list[Slice] = []
        self._in_step: set[Sequence] = set()
        self._coming: set[bytes] = set()
        """Digests of the blocks that this step fills."""

    def fits(self, positions: int) -> bool:
        """Whether a sequence of this many positions can ever run, alone if need be."""
        return self._blocks_for(positions) <= self.pool.count

    def add(self, sequence: Sequence) -> None:
        """Its `limit` must fit."""
        self._arrivals += 1
        sequence.arrival = self._arrivals
        insort(self.waiting, sequence, key=_rank)

    def remove(self, sequence: Sequence) -> None:
        """Done, cancelled or failed."""
        if sequence.state is State.RUNNING:
            self.running.remove(sequence)
            self._give_up_blocks(sequence)
        elif sequence.state is State.WAITING:
            self.waiting.remove(sequence)
        sequence.state = State.GONE

    def ready(self) -> bool:
        """Whether a step would compute something."""
        return any(_can_run(sequence) for sequence in self.running) or any(map(_can_run, self.waiting))

    def schedule(self) -> list[Slice]:
        """The next step. Blocks for it are held already; call `computed` when it is done."""
        self._steps += 1
        self._slices = []
        self._in_step = set()
        self._coming = set()
        self._scores = self._score_rows
        budget = self._decode(self.step_tokens)
        budget = self._prefill(budget)
        self._admit(budget)
        if not self._slices:
            self._force()
        self._spare = self.step_tokens - sum(piece.size for piece in self._slices)
        return self._slices

    def computed(self, piece: Slice) -> None:
        """The KV of this slice is in its blocks."""
        sequence, size = piece.sequence, self._block_tokens
        before = sequence.computed // size
        sequence.computed = piece.start + piece.size
        for index in range(before, sequence.computed // size):
            digest = sequence.digest(index, size)
            if digest is None:
                break
            self.pool.offer(sequence.blocks[index], digest)

    def widen(self, piece: Slice, count: int) -> int:
        """Blocks for guesses behind a slice of this step: of what is free, for nobody gives way to a guess. For how
        many of `count` there is room."""
        sequence, end = piece.sequence, piece.start + piece.size
        room = (len(sequence.blocks) + self.pool.free) * self._block_tokens - end
        count = max(0, min(count, self._spare, room))
        missing = self._blocks_for(end + count) - len(sequence.blocks)
        if missing > 0:
            sequence.blocks += self.pool.take(missing)
        self._spare -= count
        return count

    def shrink(self) -> None:
        """A step was too large for the machine's memory: half of it from now on. Those that generate never wait."""
        self.step_tokens = max(min(self._most_tokens, self._max_batch + self._block_tokens), self.step_tokens // 2)

    def recover(self) -> None:
        """A step went well: a little more."""
        self.step_tokens = min(self._most_tokens, self.step_tokens + self._block_tokens)

    # The three parts of a step

    def _decode(self, budget: int) -> int:
        ready = [s for s in self.running if s.todo == 1 and not s.paused]
        if len(ready) > self._max_batch:
            ready.sort(key=lambda s: (s.priority, s.last_step, s.arrival))
            del ready[self._max_batch :]
            ready.sort(key=_rank)
        for sequence in ready:
            if sequence.state is State.RUNNING and self._make_room(sequence, 1):
                self._put(sequence, 1)
                budget -= 1
        return budget

    def _prefill(self, budget: int) -> int:
        for sequence in self.running[:]:
            if budget <= 0 or len(self._slices) >= self._max_batch:
                break
            if sequence.state is not State.RUNNING or sequence.paused or sequence.todo <= 0:
                continue
            if sequence in self._in_step:
                continue
            self._extend_from_cache(sequence)
            if self._is_coming(sequence):
                continue
            size = self._size(sequence, budget)
            if not self._make_room(sequence, size):
                size = min(size, (len(sequence.blocks) + self.pool.free) * self._block_tokens - sequence.computed)
            if size > 0 and sequence.state is State.RUNNING:
                self._put(sequence, size)
                budget -= size
        return budget

    def _admit(self, budget: int) -> None:
        """In order; one that finds no room stops those behind it, so that it is not overtaken."""
        for sequence in self.waiting[:]:
            if budget <= 0 or len(self._slices) >= self._max_batch:
                break
            if not _can_run(sequence):
                continue
            self._extend_from_cache(sequence)
            if self._is_coming(sequence) or not self._size(sequence, budget):
                self._give_up_blocks(sequence)
                continue
            if not self._make_room_to_enter(sequence):
                self._give_up_blocks(sequence)
                break
            self._enter(sequence)
            size = self._size(sequence, budget)
            self._put(sequence, size)
            budget -= size

    def _size(self, sequence: Sequence, budget: int) -> int:
        """How many positions of its prompt come next. 0: this step has no room for the logits that it wants."""
        size = min(budget, sequence.todo)
        if sequence.scored < sequence.to_score:
            left = max(0, self._scores) + max(0, sequence.scored - sequence.computed)
            size = size if sequence.to_score - sequence.computed <= left else min(size, left)
        return size

    def _enter(self, sequence: Sequence) -> None:
        if not sequence.prefix_cached:
            sequence.prefix_cached = True
            sequence.cached = sequence.computed
            self.hit_tokens += sequence.computed
            self.asked_tokens += len(sequence.tokens)
        self.waiting.remove(sequence)
        sequence.state = State.RUNNING
        insort(self.running, sequence, key=_rank)

    def _put(self, sequence: Sequence, size: int) -> None:
        """Blocks for `size` more positions, which are free, and a place in the step."""
        missing = self._blocks_for(sequence.computed + size) - len(sequence.blocks)
        if missing > 0:
            sequence.blocks += self.pool.take(missing)
        start = sequence.computed
        samples = not sequence.held and start + size == len(sequence.tokens)
        piece = Slice(sequence, start, size, samples)
        self._slices.append(piece)
        self._scores -= len(piece.scored)
        self._in_step.add(sequence)
        sequence.last_step = self._steps
        tokens = self._block_tokens
        if size >= tokens:
            for index in range(sequence.computed // tokens, (sequence.computed + size) // tokens):
                digest = sequence.digest(index, tokens)
                if digest is None:
                    break
                self._coming.add(digest)

    # Room

    def _make_room(self, sequence: Sequence, size: int) -> bool:
        """Preempts until `size` more positions fit; those behind it in rank, the last first, paused ones before
        others. False: it is the last itself and has been preempted, or is left for another step."""
        needed = self._blocks_for(sequence.computed + size) - len(sequence.blocks)
        while needed > self.pool.free:
            victim = self._victim(sequence)
            if victim is None:
                if self._in_step and sequence.todo == 1:
                    self._preempt(sequence)  # it cannot go on, and its blocks let those before it
                return False
            self._preempt(victim)
        return True

    def _victim(self, sequence: Sequence) -> Sequence | None:
        """Not in this step; paused, of whatever rank, or behind `sequence`."""
        running = self.running
        for other in reversed(running):
            if other.paused and other is not sequence and other not in self._in_step:
                return other
        rank = _rank(sequence)
        for other in reversed(running):
            if _rank(other) <= rank:
                return None
            if other not in self._in_step:
                return other
        return None

    def _make_room_to_enter(self, sequence: Sequence) -> bool:
        """A new one comes in when all of its prompt fits beside the others, so that it need not be thrown out again
        at once. For it, paused ones give way, and those of a lower priority."""
        needed = self._blocks_for(min(len(sequence.tokens) + 1, sequence.limit)) - len(sequence.blocks)
        while needed > self.pool.free:
            victim = next(
                (
                    other
                    for other in reversed(self.running)
                    if other not in self._in_step and (other.paused or other.priority > sequence.priority)
                ),
                None,
            )
            if victim is None:
                return False
            self._preempt(victim)
        return True

    def _force(self) -> None:
        """Those that hold the memory cannot go on by themselves (they are held, for their input has not come): the
        first that could gets what it needs."""
        ranked = sorted((s for s in (*self.running, *self.waiting) if _can_run(s)), key=_rank)
        if not ranked:
            return
        sequence = ranked[0]
        size = self._size(sequence, self.step_tokens)
        needed = self._blocks_for(sequence.computed + size) - len(sequence.blocks)
        for other in reversed(self.running[:]):
            if needed <= self.pool.free:
                break
            if other is not sequence:
                self._preempt(other)
        if sequence.state is State.WAITING:
            self._enter(sequence)
        self._put(sequence, size)

    def _preempt(self, sequence: Sequence) -> None:
        self.running.remove(sequence)
        self._give_up_blocks(sequence)
        sequence.state = State.WAITING
        sequence.preemptions += 1
        self.preemptions += 1
        insort(self.waiting, sequence, key=_rank)

    def _give_up_blocks(self, sequence: Sequence) -> None:
        self.pool.release(sequence.blocks)
        sequence.blocks = []
        sequence.computed = sequence.drafted = 0

    # Prefix reuse

    def _extend_from_cache(self, sequence: Sequence) -> None:
        """Takes over blocks that others have computed, from a block's beginning on. The last position is always left
        to compute: its logits are what is wanted."""
        size = self._block_tokens
        if sequence.computed % size:
            return
        index = sequence.computed // size
        while (index + 1) * size <= sequence.reusable:
            digest = sequence.digest(index, size)
            block = self.pool.find(digest) if digest is not None else None
            if block is None:
                break
            self.pool.hold(block)
            if index < len(sequence.blocks):
                self.pool.release(sequence.blocks[index:])
                del sequence.blocks[index:]
            sequence.blocks.append(block)
            index += 1
            sequence.computed = index * size

    def _is_coming(self, sequence: Sequence) -> bool:
        """Its next block is being computed in this very step, for another: the next step finds it."""
        size = self._block_tokens
        if sequence.computed % size or not self._coming:
            return False
        index = sequence.computed // size
        if (index + 1) * size > sequence.reusable:
            return False
        return sequence.digest(index, size) in self._coming

    def _blocks_for(self, positions: int) -> int:
        return -(-positions // self._block_tokens)


def _rank(sequence: Sequence) -> tuple[int, int]:
    return sequence.priority, sequence.arrival


def _can_run(sequence: Sequence) -> bool:
    return not sequence.paused and sequence.todo > 0
