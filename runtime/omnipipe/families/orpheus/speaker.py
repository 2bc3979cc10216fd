"""The speaker stage: a Llama that was taught to go on with a text in tokens of sound.

Its vocabulary ends with `<custom_token_N>`: the first ten are marks, then come seven codebooks of 4,096, one for each
place in a frame.
"""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

import numpy as np

from omnipipe.engines.autoregressive.program import End, Finish, Generation, Progress, Prompt, Sampling, Turn
from omnipipe.engines.errors import LoadingError
from omnipipe.engines.loading import load_model, load_tokenizer
from omnipipe.engines.program import Emit, Job, StageContext
from omnipipe.families.orpheus.asked import read_asked
from omnipipe.families.orpheus.frames import CODEBOOK, PLACES, Frames
from omnipipe.weights import resolve
from omnipipe.wire.value import Tensor, Value

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

__all__ = ["Speaker"]

_HUMAN, _END_OF_HUMAN, _ANSWER, _SPEECH, _END_OF_SPEECH, _FIRST_CODE = 3, 4, 5, 1, 2, 10
"""By the number in their names."""
_END_OF_TURN: Final = "<|eot_id|>"


@dataclass(slots=True)
class _Speech:
    """One request: its frames so far, and the seed of its sound."""

    frames: Frames
    seed: int


class Speaker:
    """An `AutoregressiveProgram`."""

    hidden_layers: tuple[int, ...] = ()

    def __init__(self, context: StageContext) -> None:
        self.tokenizer: PreTrainedTokenizerBase | None = None
        self._context = context

    def load(self, dtype: Literal["auto", "float32", "bfloat16", "float16"]) -> "PreTrainedModel":
        folder = resolve(self._context.source or "")
        loaded = load_model(folder, dtype=dtype)
        self.tokenizer = tokenizer = load_tokenizer(folder)

        def mark(name: str) -> int:
            token = tokenizer.get_vocab().get(name)
            if token is None:
                raise LoadingError(f"{folder.name}: its tokenizer has no {name}, so it is no Orpheus model")
            return int(token)

        custom = [mark(f"<custom_token_{number}>") for number in range(_FIRST_CODE + 1)]
        self._before = [custom[_HUMAN]]
        self._after = [mark(_END_OF_TURN), custom[_END_OF_HUMAN], custom[_ANSWER], custom[_SPEECH]]
        self._end = custom[_END_OF_SPEECH]
        self._first_code = custom[_FIRST_CODE]
        if loaded.config.vocab_size < self._first_code + PLACES * CODEBOOK:
            raise LoadingError(f"{folder.name}: it has {loaded.config.vocab_size} tokens, too few for the codes")
        return loaded.module

    def begin(self, job: Job, context: int) -> Generation:
        asked = read_asked(job.inputs["request"])
        assert self.tokenizer is not None, "loaded before the first request"
        said: list[int] = self.tokenizer(f"{asked.voice}: {asked.text}").input_ids
        seed = secrets.randbits(48) if asked.seed is None else asked.seed
        job.state = _Speech(Frames(self._first_code), seed)
        return Generation(
            prompt=[Prompt([*self._before, *said, *self._after])],
            max_tokens=asked.max_new_tokens,
            stop_tokens=frozenset({self._end}),
            sampling=Sampling(
                temperature=asked.temperature,
                top_p=asked.top_p,
                top_k=asked.top_k,
                repetition_penalty=asked.repetition_penalty,
                seed=seed,
            ),
        )

    def advance(self, job: Job, progress: Progress) -> Turn:
        speech = _speech(job)
        ready = speech.frames.push(progress.tokens)
        return Turn([Emit("codes", _chunk(speech, ready))] if ready else ())

    def feed(self, job: Job) -> Turn:
        """The stage has no stream inputs."""
        return Turn()

    def finish(self, job: Job, end: End) -> Sequence[Emit]:
        """A frame that is not whole is not heard."""
        usage = {
            "prompt_tokens": end.prompt_tokens,
            "completion_tokens": end.completion_tokens,
            "cached_tokens": end.cached_tokens,
        }
        reason = "length" if end.reason == Finish.LENGTH else "stop"
        value = _chunk(_speech(job), []) | {"usage": usage, "finish_reason": reason}
        return [Emit("codes", value, last=True)]


def _chunk(speech: _Speech, frames: Sequence[Sequence[int]]) -> dict[str, Value]:
    codes = np.array(frames, dtype=np.int32).reshape(-1, PLACES)
    return {"codes": Tensor.from_numpy(codes), "seed": speech.seed}


def _speech(job: Job) -> _Speech:
    assert isinstance(job.state, _Speech)
    return job.state
