"""The thinker stage: the answer's text, and for the talker what it is made of.

prompt, embeds of sound and of pictures ─► engine ─► tokens ─► Answer (of the llm family) ~> text
                                              └─► embeddings, hidden states ─► Narration ~> speech
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, cast

import torch

from omnipipe.engines.autoregressive import program
from omnipipe.engines.autoregressive.program import End, Generation, Hidden, Progress, Sampling, Turn
from omnipipe.engines.loading import Part, load_config, load_generation_config, load_model, load_tokenizer
from omnipipe.engines.program import Emit, Job, StageContext
from omnipipe.families.llm.answering import Answer
from omnipipe.families.llm.asked import read_options
from omnipipe.families.llm.model import Model
from omnipipe.families.llm.questions import prompted_question
from omnipipe.families.qwen2_5_omni.narration import Narration
from omnipipe.families.qwen2_5_omni.thinker_model import ThinkerModel
from omnipipe.families.qwen2_5_omni.values import Spoken
from omnipipe.families.qwen2_5_omni.voices import Voice, load_voices, voice_of
from omnipipe.families.qwen3_omni.thinker import own_template
from omnipipe.families.qwen3_omni.thinker_prompt import prompt_parts
from omnipipe.families.qwen3_omni.values import Embeds, Prompt
from omnipipe.families.text_pieces import TEXT_OUTPUT
from omnipipe.weights import resolve

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

__all__ = ["Thinker"]

_log = logging.getLogger(__name__)

_SPEECH: Final = "speech"
_EMBEDS: Final = ("audio", "vision")
_TAIL: Final = 16
"""Tokens at a prompt's end that tell whether it ends inside of a reasoning."""
_LAST: Final = -1
"""The layer whose states the talker is told."""
_READ: Final = "read"
"""Why a text that is spoken as it stands ends: its states are known."""


@dataclass(slots=True)
class _Thought:
    """One request."""

    answer: Answer | None
    """None: a text is spoken as it stands."""
    narration: Narration | None
    row: torch.Tensor | None = None
    """`[1, hidden]`: the newest token's embedding."""
    stopped: bool = False
    """At a stop string."""


class Thinker:
    """An `AutoregressiveProgram` and a `StepProgram`."""

    def __init__(self, context: StageContext) -> None:
        self.hidden_layers: tuple[int, ...] = ()
        self.tokenizer: PreTrainedTokenizerBase | None = None
        self._context = context
        self._model: Model
        self._table: torch.Tensor
        self._voices: dict[str, Voice] = {}
        self._marks: tuple[int, ...]

    def load(self, dtype: Literal["auto", "float32", "bfloat16", "float16"]) -> "PreTrainedModel":
        folder = resolve(self._context.source or "")
        config: Any = load_config(folder)  # its fields have no types
        part = Part("thinker.", lambda whole: whole.thinker_config.text_config, ThinkerModel)
        module = cast(ThinkerModel, load_model(folder, dtype=dtype, part=part).module)
        self._table = module.get_input_embeddings().weight
        if config.enable_audio_output:
            self.hidden_layers = (_LAST,)
            self._voices = load_voices(folder)
            self._marks = (config.talker_config.tts_text_end_token_id, config.talker_config.tts_text_pad_token_id)
        generation = load_generation_config(folder)
        if generation is not None:
            module.generation_config = generation
        self.tokenizer = load_tokenizer(folder)
        self._model = Model.of(
            self.tokenizer,
            generation,
            template=own_template(folder),
            tool_parser="auto",
            reasoning_parser="auto",
        )
        _log.info("stage %s: %s", self._context.stage, self._model.summary)
        return module

    def begin(self, job: Job, context: int) -> Generation | Sequence[Emit]:
        prompt: Prompt = job.inputs["prompt"]
        tokens: list[int] = prompt["tokens"].numpy().tolist()
        narration = None
        if "speech" in prompt and _SPEECH in job.ports:
            spoken = cast(Spoken, prompt["speech"])
            specials = (voice_of(self._voices, spoken["voice"]).bos_token, *self._marks)
            narration = Narration(prompt, spoken, tokens, self._table, specials)
        embeds: list[Embeds] = [job.inputs[name] for name in _EMBEDS if name in job.inputs]
        parts = prompt_parts(prompt, tokens, embeds)
        if prompt.get("verbatim"):
            return self._verbatim(job, parts, narration)
        options = read_options(prompt["options"])
        thinking = self._model.thinking(self._model.vocabulary.decode_all(tokens[-_TAIL:]))
        question = prompted_question(self._model, options, parts, thinking, context)
        job.state = _Thought(Answer(self._model, question), narration)
        if narration is not None:
            question.generation.hidden = Hidden.ALL
        return question.generation

    def tokens(self, batch: Sequence[tuple[Job, Progress]]) -> None:
        """Looks up the embeddings of all new tokens that are to be spoken."""
        spoken = [(thought, progress) for job, progress in batch if (thought := _thought(job)).narration is not None]
        if not spoken:
            return
        ids = torch.tensor([progress.tokens[0] for _, progress in spoken], device=self._table.device)
        rows = self._table[ids].cpu()
        for index, (thought, _) in enumerate(spoken):
            thought.row = rows[index : index + 1]

    def advance(self, job: Job, progress: Progress) -> Turn:
        thought = _thought(job)
        emits = self._think(thought.narration, progress.hidden)
        if not progress.tokens:
            return Turn(emits)
        if thought.answer is None:
            return Turn(finish=_READ)
        turn = thought.answer.advance(progress)
        turn.emits = [*turn.emits, *emits]
        if thought.narration is None:
            return turn
        if turn.finish is not None:  # at a stop string, or behind the one call that there may be
            thought.stopped = True
            return turn
        if thought.answer.apart:
            thought.narration.skip()
            return turn
        assert thought.row is not None
        turn.emits = [*turn.emits, *thought.narration.say(thought.row, holding=thought.answer.holding)]
        return turn

    def feed(self, job: Job) -> Turn:
        """The stage has no stream inputs."""
        return Turn()

    def finish(self, job: Job, end: End) -> Sequence[Emit]:
        thought = _thought(job)
        narration = thought.narration
        if thought.answer is None:
            return _silent(end.prompt_tokens, [] if narration is None else [narration.verbatim()])
        emits = self._think(narration, end.hidden)
        emits += thought.answer.finish(end)
        if narration is not None:
            emits.append(narration.finish(cut=thought.stopped or thought.answer.apart))
        return emits

    def _think(self, narration: Narration | None, hidden: Any) -> list[Emit]:
        if narration is None or not hidden:
            return []
        states: torch.Tensor = hidden[_LAST]
        if narration.listening:
            return narration.listen(states)
        return narration.think(states)

    def _verbatim(
        self, job: Job, parts: Sequence[program.Prompt], narration: Narration | None
    ) -> Generation | list[Emit]:
        """It is read, and nothing is said to it."""
        if narration is None:
            return _silent(sum(map(len, parts)), [])
        job.state = _Thought(None, narration)
        return Generation(parts, max_tokens=1, sampling=Sampling(temperature=0.0), hidden=Hidden.PROMPT)


def _silent(prompt_tokens: int, speech: list[Emit]) -> list[Emit]:
    usage = {"prompt_tokens": prompt_tokens, "completion_tokens": 0, "cached_tokens": 0}
    return [Emit(TEXT_OUTPUT, "", last=True, meta={"finish_reason": "stop", "usage": usage}), *speech]


def _thought(job: Job) -> _Thought:
    assert isinstance(job.state, _Thought)
    return job.state
