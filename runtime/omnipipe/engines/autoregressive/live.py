"""One request inside the engine: the program's side of it (job, generation) and the engine's (sequence, chooser)."""

from omnipipe.engines.autoregressive.grammar import Match
from omnipipe.engines.autoregressive.program import Generation, Hidden, Prompt
from omnipipe.engines.autoregressive.sampler import Chooser
from omnipipe.engines.autoregressive.sequence import NO_TOKEN, Sequence
from omnipipe.engines.program import Job
from omnipipe.errors import ErrorKind, RequestError

__all__ = ["Live", "append", "check_room", "make_sequence"]


class Live:
    """Before the program has begun it there is a job alone."""

    __slots__ = (
        "_sequence",
        "ahead",
        "chooser",
        "generation",
        "handed",
        "job",
        "luck",
        "match",
        "paused",
        "rest",
        "started",
    )

    def __init__(self, job: Job) -> None:
        self.job = job
        self.paused = False
        self.started = False
        """Has had a step."""
        self.generation: Generation
        self.chooser: Chooser
        self.match: Match | None = None
        self.handed = 0
        """Hidden states of the positions before this one have been handed out."""
        self.ahead: list[Chooser] = []
        """As `chooser` will be after each of the guesses that are in this step."""
        self.luck = 1.0
        """How many of the guesses held of late, as a share."""
        self.rest = 0
        """Tokens for which nothing is guessed."""
        self._sequence: Sequence | None = None

    @property
    def shows(self) -> bool:
        """The program wants hidden states of what is computed of it next."""
        match self.generation.hidden:
            case Hidden.NONE:
                return False
            case Hidden.PROMPT:
                return self.handed < self.sequence.prompt_size
            case _:
                return True

    @property
    def feeds(self) -> bool:
        """The program may be given stream input now."""
        return self.begun and (not self.paused or self.generation.feeds_paused)

    @property
    def begun(self) -> bool:
        return self._sequence is not None

    @property
    def sequence(self) -> Sequence:
        assert self._sequence is not None, "not begun"
        return self._sequence

    def begin(self, sequence: Sequence) -> None:
        sequence.paused = self.paused
        self._sequence = sequence

    def pause(self, paused: bool) -> None:
        self.paused = paused
        if self._sequence is not None:
            self._sequence.paused = paused


def make_sequence(rid: str, generation: Generation, context: int) -> Sequence:
    """Raises RequestError for what cannot be done in `context` positions."""
    shared = generation.hidden not in (Hidden.ALL, Hidden.PROMPT)
    sequence = Sequence(
        rid, [], limit=context, priority=generation.priority, held=generation.hold, shared=shared
    )  # fmt: skip
    for part in generation.prompt:
        append(sequence, part)
    size = sequence.prompt_size
    if generation.prompt_logprobs is not None:
        if sequence.spans:
            raise TypeError("log probabilities of a prompt that is not tokens alone")
        sequence.to_score = size - 1
    if size == 0:
        raise RequestError(ErrorKind.INVALID, "the prompt is empty")
    most = generation.max_tokens
    if most is not None and most < 0:
        raise RequestError(ErrorKind.INVALID, "max_tokens must be at least 0", param="max_tokens")
    if most != 0 or size > context:
        check_room(size, context)
    if most is not None:
        sequence.limit = min(context, size + most)
    return sequence


def append(sequence: Sequence, part: Prompt) -> None:
    """More input positions."""
    start, size = len(sequence.tokens), len(part)
    if part.embeds is None:
        sequence.append_prompt(list(part.tokens))
    elif size:
        sequence.append_prompt([NO_TOKEN] * size)
        sequence.embed(start, size, part.embeds, part.key, part.deep)
    if part.positions is not None:
        sequence.place(start, part.positions.tolist())


def check_room(size: int, context: int) -> None:
    """Raises RequestError unless a token fits behind `size` positions."""
    if size >= context:
        raise RequestError(
            ErrorKind.INVALID,
            f"This model's maximum context length is {context} tokens. However, your messages resulted in {size} "
            "tokens. Please reduce the length of the messages.",
            param="messages",
            code="context_length_exceeded",
        )
