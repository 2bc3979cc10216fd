"""The talker stage: speech codes, one by one, while the thinker still writes.

What the model sees of a code is its embedding and, with it, the next bit of what the thinker said: while that has not
come, the request is held.

    [conversation][voice][first text] ─► code ─► code + text ─► code ─► code + text ─► ...
"""

import secrets
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, Literal, cast

import torch

from omnipipe.engines.autoregressive.program import End, Finish, Generation, Progress, Prompt, Turn
from omnipipe.engines.loading import Part, load_model
from omnipipe.engines.program import Emit, Job, StageContext
from omnipipe.families.omni_parts.talker import Texts, sampling_of
from omnipipe.families.omni_parts.tensors import from_torch, to_torch
from omnipipe.families.omni_parts.values import TalkerOptions
from omnipipe.families.qwen2_5_omni.talker_model import TalkerModel
from omnipipe.families.qwen2_5_omni.values import SpeechBegin
from omnipipe.weights import resolve
from omnipipe.wire.value import Value

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

__all__ = ["Talker"]

_IN: Final = "speech"
_OUT: Final = "codes"
_SAMPLING: Final[TalkerOptions] = {
    "do_sample": True, "temperature": 0.9, "top_k": 40, "top_p": 0.8, "repetition_penalty": 1.05,
    "max_new_tokens": 4096,
}  # fmt: skip


class Talker:
    """An `AutoregressiveProgram`."""

    hidden_layers: tuple[int, ...] = ()
    tokenizer: "PreTrainedTokenizerBase | None" = None

    def __init__(self, context: StageContext) -> None:
        self._context = context
        self._model: TalkerModel

    def load(self, dtype: Literal["auto", "float32", "bfloat16", "float16"]) -> "PreTrainedModel":
        part = Part("talker.", lambda config: config.talker_config, TalkerModel)
        self._model = cast(TalkerModel, load_model(resolve(self._context.source or ""), dtype=dtype, part=part).module)
        return self._model

    def begin(self, job: Job, context: int) -> Generation | Sequence[Emit] | None:
        chunks, ended = job.chunks[_IN], _IN in job.ended
        if not chunks and not ended:
            return None
        if not chunks or "prompt" not in chunks[0]:
            return [_codes([], last=True)]  # there was nothing to say
        begin: SpeechBegin = chunks[0]
        options: TalkerOptions = {**_SAMPLING, **begin["options"]}
        seed = options.get("seed")
        options["seed"] = seed = secrets.randbits(63) if seed is None else seed
        speech = job.state = _Speech(self._model, begin)
        speech.take(chunks, ended=ended)
        if speech.texts.silent:
            return [_codes([], last=True)]
        first = speech.first()
        speech.begun = first is not None
        embeds = speech.prompt if first is None else torch.cat((speech.prompt, first))
        config: Any = self._model.config  # its fields have no types
        return Generation(
            [Prompt(embeds=embeds, positions=None if speech.positions is None else speech.positions[:, : len(embeds)])],
            max_tokens=options["max_new_tokens"],
            stop_tokens=frozenset({int(config.tts_codec_end_token_id), int(config.tts_codec_pad_token_id)}),
            sampling=sampling_of(options),
            hold=first is None,
            emits=[Emit(_OUT, {"codes": _tensor([]), "voice": begin["voice"], "seed": seed})],
            told=[config.tts_codec_mask_token_id, config.tts_codec_pad_token_id, config.tts_codec_start_token_id],
            feeds_paused=True,
        )

    def advance(self, job: Job, progress: Progress) -> Turn:
        speech = _speech(job)
        (speech.code,) = progress.tokens
        embed = speech.go_on()
        return Turn([_codes([progress.tokens[0]])], embed=embed, hold=embed is None)

    def feed(self, job: Job) -> Turn:
        speech = _speech(job)
        speech.take(job.chunks[_IN], ended=_IN in job.ended)
        if not speech.begun:
            first = speech.first()
            if first is not None:
                speech.begun = True
                positions = None if speech.positions is None else speech.positions[:, -1:]
                return Turn(append=[Prompt(embeds=first, positions=positions)])
            return Turn(hold=True, finish=Finish.STOP if speech.texts.silent else None)
        embed = speech.go_on()
        return Turn(embed=embed, hold=embed is None and speech.code is not None)

    def finish(self, job: Job, end: End) -> Sequence[Emit]:
        return [_codes([], last=True)]


class _Speech:
    """One request."""

    def __init__(self, model: TalkerModel, begin: SpeechBegin) -> None:
        self._model = model
        opening, end, nothing = self._moved(begin["specials"])
        config: Any = model.config
        marks = torch.tensor([config.tts_codec_pad_token_id, config.tts_codec_start_token_id], device=model.device)
        pad, self._bos = model.model.embed_tokens(marks)
        self.prompt = self._projected(torch.cat((self._moved(begin["prompt"]), (opening + pad)[None])))
        """`[n + 1, hidden]`: all that is there before the first text."""
        self.positions: torch.Tensor | None = None
        """`[3, n + 2]`: with those of the voice and of the first text."""
        if "positions" in begin:
            found = to_torch(begin["positions"])
            behind = (found.max() + torch.tensor([1.0, 2.0])).expand(3, -1)
            self.positions = torch.cat((found, behind), 1)
        self.begun = False
        """The first text is in the prompt."""
        self.code: int | None = None
        """The newest, while the text that goes with it has not come."""
        self.texts = Texts(end, nothing)

    def take(self, chunks: Sequence[Value], *, ended: bool) -> None:
        texts = (text for chunk in chunks if "text" in chunk for text in self._moved(chunk["text"]))
        self.texts.take(texts, ended=ended)

    def first(self) -> torch.Tensor | None:
        """`[1, hidden]`; None: it has not come."""
        first = self.texts.first()
        return None if first is None else self._projected((first + self._bos)[None])

    def go_on(self) -> torch.Tensor | None:
        """`[hidden]`: what the model sees in place of the newest code; None: not known yet."""
        if self.code is None:
            return None
        text = self.texts.next()
        if text is None:
            return None
        code, self.code = torch.tensor([self.code], device=self._model.device), None
        return self._projected(self._model.model.embed_tokens(code) + text)[0]

    def _projected(self, rows: torch.Tensor) -> torch.Tensor:
        return cast(torch.Tensor, self._model.thinker_to_talker_proj(rows))

    def _moved(self, value: Value) -> torch.Tensor:
        return to_torch(value).to(self._model.device, self._model.dtype)


def _speech(job: Job) -> _Speech:
    assert isinstance(job.state, _Speech)
    return job.state


def _tensor(codes: Sequence[int]) -> Value:
    return from_torch(torch.tensor(codes, dtype=torch.int32))


def _codes(codes: Sequence[int], *, last: bool = False) -> Emit:
    return Emit(_OUT, {"codes": _tensor(codes)}, last=last)
