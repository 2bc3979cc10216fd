"""The programs of the echo stages. Torch-free, deterministic, and one of each shape a stage can have.

Ingest             the request in, one value out (to two branches)
Words, Pitch       one value in, one value out
Compose            fan-in of two values, two streams out
Synth              a stream in, a stream out
"""

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Sequence
from typing import ClassVar, Protocol

from omnipipe.engines.program import Emit, Job, Outcome, StageContext, attempt
from omnipipe.errors import ErrorKind, RequestError
from omnipipe.families.echo.knobs import Knobs, check_knobs
from omnipipe.families.echo.text import answer
from omnipipe.families.echo.tones import SAMPLE_RATE_HZ, VOICES, pitches, tone
from omnipipe.wire.value import Tensor, Value

__all__ = ["Compose", "Ingest", "Pitch", "Synth", "Words"]


class _Answers(Protocol):
    """What one request gives, chunk by chunk."""

    def ready(self, job: Job) -> bool:
        """Takes in what has come; False when more must come before there is something to give."""

    def give(self) -> tuple[list[Emit], bool]:
        """The next chunk (or several ports' worth of it), and whether that was all."""


class _Turn:
    """Where a request is."""

    __slots__ = ("answers", "given", "knobs", "waited")

    def __init__(self, answers: _Answers, knobs: Knobs) -> None:
        self.answers = answers
        self.knobs = knobs
        self.given = 0
        self.waited = False
        """The delay before the next chunk is over."""


class _Program(ABC):
    """What the echo stages have in common: the knobs. A family without tests to serve would not need it."""

    kind: ClassVar[str]
    """The stage type."""
    bursts: ClassVar[bool] = False
    """Give everything that is there in one step; safe where the input is under credit already."""

    def __init__(self, context: StageContext) -> None:
        self._stage = context.stage
        self._defaults = context.params
        self._knobs = Knobs.read(self.kind, context.params)

    def cost(self, job: Job) -> int:
        return 1

    def run(self, batch: Sequence[Job]) -> Sequence[Outcome | Exception]:
        return [attempt(self._run_one, job) for job in batch]

    @abstractmethod
    def begin(self, job: Job, knobs: Knobs) -> _Answers:
        """What this request will be given. Raises what the request shall fail with."""

    def _run_one(self, job: Job) -> Outcome:
        turn = job.state if isinstance(job.state, _Turn) else self._start(job)
        return self._advance(job, turn)

    def _start(self, job: Job) -> _Turn:
        knobs = self._knobs
        if job.params:
            check_knobs(self.kind, job.params, self._stage)
            knobs = Knobs.read(self.kind, {**self._defaults, **job.params})
        job.state = turn = _Turn(self.begin(job, knobs), knobs)
        return turn

    def _advance(self, job: Job, turn: _Turn) -> Outcome:
        emits: list[Emit] = []
        knobs = turn.knobs
        while turn.answers.ready(job):
            if knobs.delay_s and not turn.waited:
                turn.waited = True
                return Outcome(emits, "again", knobs.delay_s)
            turn.waited = False
            if knobs.one_at_a_time:
                knobs.strike(self._stage, turn.given)
            chunk, finished = turn.answers.give()
            emits += chunk
            turn.given += 1
            if finished:
                return Outcome(emits, "again" if knobs.strikes(turn.given) else "done")
            if knobs.one_at_a_time or not self.bursts:
                return Outcome(emits, "again")
        return Outcome(emits, "wait")


class _Once:
    """One value, for payload ports."""

    def __init__(self, port: str, value: Value) -> None:
        self._emit = Emit(port, value, last=True)

    def ready(self, job: Job) -> bool:
        return True

    def give(self) -> tuple[list[Emit], bool]:
        return [self._emit], True


class Ingest(_Program):
    """Takes the request in. What comes from the gateway has been through `requests`, and is looked at again all the
    same: another client of the wire may be less careful."""

    kind = "ingest"

    def begin(self, job: Job, knobs: Knobs) -> _Answers:
        request = job.inputs.get("request")
        match request:
            case {"text": str(), "stop": list(), "voice": str(voice), "prompt_tokens": int()} if voice in VOICES:
                return _Once("prompt", request)
            case _:
                raise RequestError(ErrorKind.INVALID, "the echo family cannot read this request")


class Words(_Program):
    kind = "words"

    def begin(self, job: Job, knobs: Knobs) -> _Answers:
        prompt = job.inputs["prompt"]
        words, finish = answer(prompt["text"], prompt.get("max_tokens"), prompt["stop"])
        pieces = {"words": words, "finish_reason": finish, "prompt_tokens": prompt["prompt_tokens"]}
        return _Once("pieces", pieces)


class Pitch(_Program):
    kind = "pitch"

    def begin(self, job: Job, knobs: Knobs) -> _Answers:
        prompt = job.inputs["prompt"]
        words, _ = answer(prompt["text"], prompt.get("max_tokens"), prompt["stop"])
        return _Once("pitches", {"hz": pitches(words), "voice": prompt["voice"]})


class _Sentence:
    """A word on `text` and a note on `notes` at a time; nothing is made for a port that nobody listens to."""

    def __init__(self, job: Job, words: Sequence[str], hz: Sequence[float]) -> None:
        pieces, pitched = job.inputs["pieces"], job.inputs["pitches"]
        self._words = words or [""]
        self._hz = hz or [0.0]
        self._voice: str = pitched["voice"]
        self._ports = job.ports
        self._at = 0
        usage = {"prompt_tokens": pieces["prompt_tokens"], "completion_tokens": len(words)}
        self._meta: dict[str, Value] = {"finish_reason": pieces["finish_reason"], "usage": usage}

    def ready(self, job: Job) -> bool:
        return True

    def give(self) -> tuple[list[Emit], bool]:
        word, hz = self._words[self._at], self._hz[self._at % len(self._hz)]
        self._at += 1
        last = self._at == len(self._words)
        emits = []
        if "text" in self._ports:
            emits.append(Emit("text", word, last, self._meta if last else None))
        if "notes" in self._ports:
            note: dict[str, Value] = {"word": word[:64], "hz": hz, "voice": self._voice}
            if last and "text" not in self._ports:
                note["usage"] = self._meta["usage"]  # which otherwise comes with the text
            emits.append(Emit("notes", note, last))
        return emits, last


class Compose(_Program):
    """Waits for both branches: the stage gets the job when `pieces` and `pitches` are there."""

    kind = "compose"

    def begin(self, job: Job, knobs: Knobs) -> _Answers:
        words: Sequence[str] = job.inputs["pieces"]["words"]
        if knobs.chunks:
            words = ["x" * knobs.chunk_bytes] * knobs.chunks  # one string, many times over
        return _Sentence(job, words, job.inputs["pitches"]["hz"])


class _Tones:
    """A tone for each note, as the notes come."""

    def __init__(self) -> None:
        self._notes: deque[Value] = deque()
        self._ended = False

    def ready(self, job: Job) -> bool:
        arrived = job.chunks["notes"]
        self._notes.extend(arrived)
        arrived.clear()
        self._ended = "notes" in job.ended
        return bool(self._notes) or self._ended

    def give(self) -> tuple[list[Emit], bool]:
        if not self._notes:
            return [], True
        note = self._notes.popleft()
        samples = tone(note["word"], note["hz"], note["voice"])
        last = self._ended and not self._notes
        return [_audio(samples, last, note.get("usage"))], last


class _Silence:
    """So many chunks of so many bytes, whatever the notes are; they are taken all the same, to the end."""

    def __init__(self, chunks: int, chunk_bytes: int) -> None:
        self._left = chunks
        self._samples = bytes(chunk_bytes)
        self._ended = False

    def ready(self, job: Job) -> bool:
        job.chunks["notes"].clear()
        self._ended = "notes" in job.ended
        return bool(self._left) or self._ended

    def give(self) -> tuple[list[Emit], bool]:
        if not self._left:
            return [], True
        self._left -= 1
        return [_audio(self._samples, last=not self._left)], not self._left and self._ended


class Synth(_Program):
    kind = "synth"
    bursts = True

    def begin(self, job: Job, knobs: Knobs) -> _Answers:
        return _Silence(knobs.chunks, knobs.chunk_bytes) if knobs.chunks else _Tones()


def _audio(samples: bytes, last: bool, usage: Value = None) -> Emit:
    tensor = Tensor("i16", (len(samples) // 2,), memoryview(samples))
    if not last:
        return Emit("audio", tensor, False, None)
    meta: dict[str, Value] = {"sample_rate_hz": SAMPLE_RATE_HZ, "channels": 1}
    return Emit("audio", tensor, True, meta if usage is None else meta | {"usage": usage})
