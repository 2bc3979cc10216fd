"""The talker stage: speech codes, frame by frame, while the thinker still writes.

A frame's first code is a token of the autoregressive engine; the code predictor gives the others. What the model sees
of a frame is the sum of its codes' embeddings and of the next bit of text: while that has not been written, the request
is held. Frames leave several together, as many as code2wav makes a piece of sound of.

    [conversation][assistant's header, voice][first text] ─► code ─► frame + text ─► code ─► frame + text ─► ...
"""

import secrets
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, Literal, cast

import torch

from omnipipe.engines.autoregressive.noise import uniforms
from omnipipe.engines.autoregressive.program import (
    End,
    Finish,
    Generation,
    Hidden,
    Progress,
    Prompt,
    Turn,
)
from omnipipe.engines.loading import Part, load_model
from omnipipe.engines.program import Emit, Job, StageContext
from omnipipe.errors import ErrorKind, RequestError
from omnipipe.families.omni_parts.talker import sampling_of
from omnipipe.families.omni_parts.tensors import from_torch, rows_from_torch, rows_joined, to_torch
from omnipipe.families.omni_parts.values import TalkerOptions
from omnipipe.families.qwen3_omni.code_predictor import CodePredictor, Draw
from omnipipe.families.qwen3_omni.hearing import Hearing
from omnipipe.families.qwen3_omni.talker_model import TalkerModel
from omnipipe.families.qwen3_omni.values import SpeechBegin
from omnipipe.weights import resolve
from omnipipe.wire.value import Tensor

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

__all__ = ["Talker"]

_IN: Final = "speech"
_OUT: Final = "codes"
_VOICE: Final = "ethan"
"""Of those who name none, where the model has it: transformers' default."""
_SAMPLING: Final[TalkerOptions] = {
    "do_sample": True, "temperature": 0.9, "top_k": 50, "top_p": 1.0, "repetition_penalty": 1.05,
    "max_new_tokens": 4096,
}  # fmt: skip
_TOGETHER: Final = 25
"""Frames in a message at most. The first goes alone and each message waits for twice as many as the one before, as the
pieces of code2wav do by default: it would be woken for nothing."""
_OTHER_SEED: Final = 0x7A1C_E5C0_DE5D_0C0D
"""Makes the numbers that residual codes are drawn by others than those of the first codes."""


class Talker:
    """An `AutoregressiveProgram` and a `StepProgram`."""

    hidden_layers: tuple[int, ...] = (-1,)
    tokenizer: "PreTrainedTokenizerBase | None" = None

    def __init__(self, context: StageContext) -> None:
        self._context = context
        self._model: TalkerModel
        self._predictor: CodePredictor
        self._groups: int

    def load(self, dtype: Literal["auto", "float32", "bfloat16", "float16"]) -> "PreTrainedModel":
        part = Part("talker.", lambda config: config.talker_config, TalkerModel, layout="qwen2_moe")
        self._model = cast(TalkerModel, load_model(resolve(self._context.source or ""), dtype=dtype, part=part).module)
        self._predictor = CodePredictor(self._model.code_predictor)
        self._model.add_module("residuals", self._predictor)  # so that the engine finds its linear layers
        self._groups = int(self._config.num_code_groups)
        return self._model

    def begin(self, job: Job, context: int) -> Generation | Sequence[Emit] | None:
        chunks, ended = job.chunks[_IN], _IN in job.ended
        if not chunks and not ended:
            return None
        if not chunks or "prompt" not in chunks[0]:
            return [self._end()]  # there was nothing to say
        begin: SpeechBegin = chunks[0]
        options: TalkerOptions = {**_SAMPLING, **begin["options"]}
        hearing = Hearing(self._model, begin, self._speaker(begin["voice"]))
        hearing.take(chunks, ended=ended)
        if hearing.silent:
            return [self._end()]
        size = len(hearing.prompt)
        positions = to_torch(begin["positions"]) if "positions" in begin else None
        first = hearing.first()
        most = min(options["max_new_tokens"], context - size - 1)
        job.state = _Speech(hearing, options, most, None if positions is None else positions[:, size:])
        embeds = hearing.prompt if first is None else torch.cat((hearing.prompt, first))
        job.state.begun = first is not None
        if positions is not None:
            positions = positions[:, : len(embeds)]
        return Generation(
            [Prompt(embeds=embeds, positions=positions)],
            max_tokens=options["max_new_tokens"],
            stop_tokens=frozenset({int(self._config.codec_eos_token_id)}),
            sampling=sampling_of(options),
            hidden=Hidden.GENERATED,
            hold=first is None,
            feeds_paused=True,
        )

    def tokens(self, batch: Sequence[tuple[Job, Progress]]) -> None:
        """The other codes of all frames of the step."""
        going = [(_speech(job), progress) for job, progress in batch if not _speech(job).full]
        if not going:
            return
        states = torch.cat([progress.hidden[-1] for _, progress in going])
        codes = torch.tensor([progress.tokens[0] for _, progress in going], device=states.device)
        draw = self._draw([speech for speech, _ in going], states.device)
        others, summed = self._predictor.predict(states, self._model.model.codec_embedding(codes), draw)
        frames = rows_from_torch(torch.cat((codes[:, None], others), 1).int())
        for (speech, _), frame, embedded in zip(going, frames, summed.unbind(), strict=True):
            speech.frame, speech.summed = frame, embedded

    def advance(self, job: Job, progress: Progress) -> Turn:
        speech = _speech(job)
        if speech.full:  # the token that there is no room for any more has no frame
            return Turn()
        assert speech.frame is not None
        speech.untold.append(speech.frame)
        speech.frames += 1
        emits = [] if speech.waits else [Emit(_OUT, {"codes": speech.tell()})]
        embed = speech.go_on()
        return Turn(emits, embed=embed, hold=embed is None)

    def feed(self, job: Job) -> Turn:
        speech = _speech(job)
        hearing = speech.hearing
        hearing.take(job.chunks[_IN], ended=_IN in job.ended)
        if not speech.begun:
            first = hearing.first()
            if first is not None:
                speech.begun = True
                return Turn(append=[Prompt(embeds=first, positions=speech.position)])
            return Turn(hold=True, finish=Finish.STOP if hearing.silent else None)
        embed = speech.go_on()
        return Turn(embed=embed, hold=embed is None and speech.summed is not None)

    def finish(self, job: Job, end: End) -> Sequence[Emit]:
        speech = _speech(job)
        return [Emit(_OUT, {"codes": speech.tell()}, last=True) if speech.untold else self._end()]

    @property
    def _config(self) -> Any:
        """Its fields have no types."""
        return self._model.config

    def _end(self) -> Emit:
        return Emit(_OUT, {"codes": from_torch(torch.empty((0, self._groups), dtype=torch.int32))}, last=True)

    def _speaker(self, voice: str) -> int:
        voices: dict[str, int] = self._config.speaker_id or {}
        name = voice.lower() or (_VOICE if _VOICE in voices else next(iter(voices), ""))
        if name not in voices:
            known = ", ".join(sorted(voices)) or "none"
            raise RequestError(ErrorKind.INVALID, f"This model has no voice '{voice}'. It has: {known}.", param="voice")
        return voices[name]

    def _draw(self, speeches: Sequence["_Speech"], device: torch.device) -> Draw | None:
        """None: none of them is drawn."""
        if not any(speech.seed for speech in speeches):
            return None
        others = self._groups - 1
        numbers = uniforms(
            [speech.seed for speech in speeches], [speech.frames * others for speech in speeches], others
        )
        drawn = [speech.seed != 0 for speech in speeches]
        return Draw(torch.from_numpy(numbers).to(device), torch.tensor(drawn, device=device))


class _Speech:
    """One request."""

    __slots__ = ("begun", "frame", "frames", "hearing", "most", "position", "seed", "summed", "untold")

    def __init__(self, hearing: Hearing, options: TalkerOptions, most: int, position: torch.Tensor | None) -> None:
        self.hearing = hearing
        self.most = most
        """Tokens, of which the last has no frame."""
        self.position = position
        """`[3, 1]`: of the first text."""
        self.begun = False
        """The first text is in the prompt."""
        self.frames = 0
        self.frame: Tensor | None = None
        """`[1, groups]`: the newest."""
        self.untold: list[Tensor] = []
        """Those that have not left."""
        self.summed: torch.Tensor | None = None
        """Its embeddings, while the text that goes with them has not come."""
        seed = options.get("seed")
        seed = secrets.randbits(63) if seed is None else seed
        self.seed = (seed ^ _OTHER_SEED) & ((1 << 64) - 1) or 1 if options["do_sample"] else 0
        """0: greedy."""

    @property
    def full(self) -> bool:
        return self.frames + 1 >= self.most

    @property
    def waits(self) -> bool:
        """For more frames to leave with those there are."""
        told = self.frames - len(self.untold)
        return len(self.untold) < min(told + 1, _TOGETHER)

    def tell(self) -> Tensor:
        """`[n, groups]`: all that have not left."""
        untold, self.untold = self.untold, []
        return untold[0] if len(untold) == 1 else rows_joined(untold)

    def go_on(self) -> torch.Tensor | None:
        """What the model sees in place of the newest token; None: not known yet."""
        if self.summed is None:
            return None
        text = self.hearing.next()
        if text is None:
            return None
        summed, self.summed = self.summed, None
        return summed + text


def _speech(job: Job) -> _Speech:
    assert isinstance(job.state, _Speech)
    return job.state
