"""The preprocess stage: a request becomes the thinker's prompt and what the encoders are given.

One piece of media at a time is decoded, and a step ends soon after the first of them: a text that comes in meanwhile
waits for one picture, not for everybody's videos.
"""

import logging
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, ClassVar, Final

from omnipipe.engines.loading import load_config
from omnipipe.engines.program import Emit, Job, Outcome, StageContext, attempt
from omnipipe.families.omni_parts.asked import Chat, Verbatim, read_asked
from omnipipe.families.omni_parts.byte_cache import ByteCache
from omnipipe.families.omni_parts.items import Defaults, Made, Maker, Piece, limits_of, too_much
from omnipipe.families.omni_parts.processor import load_processor
from omnipipe.families.omni_parts.prompting import Prompter
from omnipipe.families.omni_parts.values import AudioFeatures, Prompt, VisionFeatures
from omnipipe.media.limits import MediaLimits
from omnipipe.weights import resolve

__all__ = ["Preprocess"]

_log = logging.getLogger(__name__)

_STEP_S: Final = 0.05
"""No further medium is begun in a step that has taken this long."""
_BYTES_A_PIXEL: Final = 0.25
"""Of an encoded picture, roughly: what a job costs before it is decoded."""


class _Budget:
    """Of one step: one medium at least, and no further one when its time is up."""

    __slots__ = ("_begun", "_ends")

    def __init__(self) -> None:
        self._begun = False
        self._ends = time.monotonic() + _STEP_S

    def take(self) -> bool:
        if self._begun and time.monotonic() >= self._ends:
            return False
        self._begun = True
        return True


@dataclass(slots=True)
class _Work:
    """Where a chat with media is."""

    asked: Chat
    tokens: list[int]
    limits: MediaLimits
    made: list[Made] = field(default_factory=list)


class Preprocess(ABC):
    """A `BatchProgram`."""

    processor: ClassVar[type[Any]]
    """Of transformers: the one that the model's folder must have."""
    prompter: ClassVar[type[Prompter]]

    def __init__(self, context: StageContext) -> None:
        params = context.params
        folder = resolve(context.source or "")
        config: Any = load_config(folder)  # its fields have no types
        processor: Any = load_processor(folder, self.processor)
        given = str(params["chat_template"])
        self._prompter = self.prompter(processor, config, Path(given).read_text() if given else None)
        defaults = Defaults(**{field.name: params[field.name] for field in fields(Defaults)})
        self._most = int(params["max_features_mb"]) << 20
        self._maker = Maker(processor, self.steps_per_second(config), defaults, self._most)
        self._made: ByteCache[Made] = ByteCache(int(params["cache_mb"]) << 20)
        context_size = config.thinker_config.text_config.max_position_embeddings
        _log.info("stage %s: contexts of up to %d tokens", context.stage, context_size)

    @abstractmethod
    def steps_per_second(self, config: Any) -> float:
        """What the model's positions count a video's time in."""

    def cost(self, job: Job) -> int:
        """Bytes of text, and of media as they would be decoded."""
        request = job.inputs["request"]
        if isinstance(job.state, _Work):
            left = job.state.asked.media[len(job.state.made) :]
            return sum(int(medium.encoded.nbytes / _BYTES_A_PIXEL) for medium in left)
        media = request.get("media", ()) if isinstance(request, dict) else ()
        return 1 + sum(int(medium["data"].nbytes / _BYTES_A_PIXEL) for medium in media)

    def run(self, batch: Sequence[Job]) -> Sequence[Outcome | Exception]:
        budget = _Budget()
        outcomes: dict[str, Outcome | Exception] = {}
        for job in sorted(batch, key=self.cost):  # what is done at once goes first
            outcomes[job.rid] = attempt(self._run, job, budget)
        return [outcomes[job.rid] for job in batch]

    def _run(self, job: Job, budget: _Budget) -> Outcome:
        work = job.state if isinstance(job.state, _Work) else self._begin(job)
        if not isinstance(work, _Work):
            return _done(job, work, ())
        job.state = work
        left = work.asked.media[len(work.made) :]
        for medium in left:
            key = self._maker.key(medium, work.asked.media_options, work.limits)
            made = self._made.get(key)
            if made is None:
                if not budget.take():
                    return Outcome(then="again")
                made = self._maker.make(medium, key, work.asked.media_options, work.limits)
                self._made.put(key, made, made.nbytes)
            work.made.append(made)
            self._check_size(work.made)
        prompt = self._prompter.chat(work.asked, work.tokens, work.made)
        return _done(job, prompt, [piece for made in work.made for piece in made.pieces])

    def _check_size(self, made: Sequence[Made]) -> None:
        """What is too large to be passed on is refused here, where it can be said what would help."""
        if sum(one.nbytes for one in made) > self._most:
            raise too_much(self._most, "messages")

    def _begin(self, job: Job) -> _Work | Prompt:
        asked = read_asked(job.inputs["request"])
        if isinstance(asked, Verbatim):
            return self._prompter.verbatim(asked)
        tokens = self._prompter.tokens(asked)
        if not asked.media:
            return self._prompter.chat(asked, tokens, ())
        return _Work(asked, tokens, limits_of(asked.limits))


def _done(job: Job, prompt: Prompt, pieces: Sequence[Piece]) -> Outcome:
    emits = [Emit("prompt", dict(prompt), last=True)]
    if "audio" in job.ports:
        emits.append(Emit("audio", dict(_heard(pieces)), last=True))
    if "vision" in job.ports:
        emits.append(Emit("vision", dict(_seen(pieces)), last=True))
    return Outcome(emits)


def _heard(pieces: Sequence[Piece]) -> AudioFeatures:
    return {
        "items": [
            {"item": index, "key": piece.key, "features": piece.features}
            for index, piece in enumerate(pieces)
            if piece.grid is None
        ]
    }


def _seen(pieces: Sequence[Piece]) -> VisionFeatures:
    return {
        "items": [
            {"item": index, "key": piece.key, "features": piece.features, "grid": list(piece.grid)}
            for index, piece in enumerate(pieces)
            if piece.grid is not None
        ]
    }
