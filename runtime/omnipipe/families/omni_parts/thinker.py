"""The thinker stage: the answer's text, and for the talker what it is made of.

prompt, embeds of sound and of pictures ─► engine ─► tokens ─► Answer (of the llm family) ~> text
                                              └─► embeddings, hidden states ─► Narration ~> speech
"""

import json
import logging
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal, cast

import torch

from omnipipe.engines.autoregressive.program import End, Generation, Progress, Turn
from omnipipe.engines.loading import Part, load_config, load_generation_config, load_model, load_tokenizer
from omnipipe.engines.program import Emit, Job, StageContext
from omnipipe.families.llm.answering import Answer
from omnipipe.families.llm.asked import read_options
from omnipipe.families.llm.model import Model
from omnipipe.families.llm.questions import prompted_question
from omnipipe.families.omni_parts.language_model import TextModel
from omnipipe.families.omni_parts.narration import Narration
from omnipipe.families.omni_parts.thinker_prompt import prompt_parts
from omnipipe.families.omni_parts.values import Embeds, Prompt
from omnipipe.families.text_pieces import TEXT_OUTPUT
from omnipipe.weights import resolve

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

__all__ = ["Thinker", "silent"]

_log = logging.getLogger(__name__)

_SPEECH: Final = "speech"
_EMBEDS: Final = ("audio", "vision")
_TAIL: Final = 16
"""Tokens at a prompt's end that tell whether it ends inside of a reasoning."""


@dataclass(slots=True)
class _Thought:
    """One request."""

    answer: Answer
    narration: Narration | None
    room: int
    """Tokens that can still come."""
    row: torch.Tensor | None = None
    """`[1, hidden]`: the newest token's embedding."""
    stopped: bool = False
    """At a stop string."""


class Thinker(ABC):
    """An `AutoregressiveProgram` and a `StepProgram`. A family says how the answer is spoken."""

    text_model: ClassVar[type[TextModel]]

    def __init__(self, context: StageContext) -> None:
        self.hidden_layers: tuple[int, ...] = ()
        """One, or none where nothing is ever spoken."""
        self.tokenizer: PreTrainedTokenizerBase | None = None
        self._context = context
        self._model: Model
        self._table: torch.Tensor
        """The embeddings of the vocabulary."""

    @abstractmethod
    def prepare_speech(self, folder: Path, config: Any, module: Any) -> None:
        """`module`: the `text_model`. Sets `hidden_layers`; `config` says whether the model speaks at all."""

    @abstractmethod
    def narration(self, prompt: Prompt, tokens: Sequence[int]) -> Narration:
        """Of a `prompt` whose answer is spoken. Raises RequestError."""

    @abstractmethod
    def verbatim(
        self, job: Job, prompt: Prompt, tokens: Sequence[int], narration: Narration | None
    ) -> Generation | Sequence[Emit]:
        """A text is spoken as it stands, if anybody listens."""

    def load(self, dtype: Literal["auto", "float32", "bfloat16", "float16"]) -> "PreTrainedModel":
        folder = resolve(self._context.source or "")
        part = Part("thinker.", lambda whole: whole.thinker_config.text_config, self.text_model)
        module: Any = load_model(folder, dtype=dtype, part=part).module
        self._table = module.get_input_embeddings().weight
        self.prepare_speech(folder, load_config(folder), module)
        generation = load_generation_config(folder)
        if generation is not None:
            module.generation_config = generation
        self.tokenizer = load_tokenizer(folder)
        self._model = Model.of(
            self.tokenizer,
            generation,
            template=_own_template(folder),
            tool_parser="auto",
            reasoning_parser="auto",
        )
        _log.info("stage %s: %s", self._context.stage, self._model.summary)
        return cast("PreTrainedModel", module)

    def begin(self, job: Job, context: int) -> Generation | Sequence[Emit]:
        prompt: Prompt = job.inputs["prompt"]
        tokens: list[int] = prompt["tokens"].numpy().tolist()
        narration = self.narration(prompt, tokens) if "speech" in prompt and _SPEECH in job.ports else None
        if prompt.get("verbatim"):
            return self.verbatim(job, prompt, tokens, narration)
        embeds: list[Embeds] = [job.inputs[name] for name in _EMBEDS if name in job.inputs]
        parts = prompt_parts(prompt, tokens, embeds)
        options = read_options(prompt["options"])
        thinking = self._model.thinking(self._model.vocabulary.decode_all(tokens[-_TAIL:]))
        question = prompted_question(self._model, options, parts, thinking, context)
        generation = question.generation
        room = context - len(tokens)
        if generation.max_tokens is not None:
            room = min(room, generation.max_tokens)
        job.state = _Thought(Answer(self._model, question), narration, room)
        if narration is not None:
            generation.hidden = narration.listens
            generation.emits = narration.opening()
        return generation

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
        narration = thought.narration
        heard = self.hear(narration, progress.hidden)
        if not progress.tokens:
            return Turn(heard)
        thought.room -= 1
        turn = thought.answer.advance(progress)
        if narration is None:
            return turn
        turn.emits = [*turn.emits, *heard]
        if turn.finish is not None:  # at a stop string, or behind the one call that there may be
            thought.stopped = True
            return turn
        if thought.answer.apart:
            turn.emits = [*turn.emits, *narration.skip()]
            return turn
        assert thought.row is not None
        # Behind the last token that there is room for it may yet be seen that it is not spoken.
        said = narration.say(thought.row, holding=thought.answer.holding or thought.room == 0)
        turn.emits = [*turn.emits, *said]
        return turn

    def feed(self, job: Job) -> Turn:
        """The stage has no stream inputs."""
        return Turn()

    def finish(self, job: Job, end: End) -> Sequence[Emit]:
        thought = _thought(job)
        emits = [*self.hear(thought.narration, end.hidden), *thought.answer.finish(end)]
        if thought.narration is not None:
            emits.append(thought.narration.finish(end, cut=thought.stopped or thought.answer.apart))
        return emits

    def hear(self, narration: Narration | None, hidden: Any) -> Sequence[Emit]:
        """`hidden`: states by layer, as the engine gives them."""
        if narration is None or not hidden:
            return ()
        (states,) = hidden.values()
        return narration.hear(states)


def silent(prompt_tokens: int, speech: Sequence[Emit]) -> list[Emit]:
    """The whole answer to a text that is spoken as it stands: no text."""
    usage = {"prompt_tokens": prompt_tokens, "completion_tokens": 0, "cached_tokens": 0}
    return [Emit(TEXT_OUTPUT, "", last=True, meta={"finish_reason": "stop", "usage": usage}), *speech]


def _thought(job: Job) -> _Thought:
    assert isinstance(job.state, _Thought)
    return job.state


def _own_template(folder: Path) -> str | None:
    """Such models keep it beside the tokenizer's files; None: the tokenizer has it."""
    plain, wrapped = folder / "chat_template.jinja", folder / "chat_template.json"
    if plain.is_file():
        return plain.read_text()
    if wrapped.is_file():
        return str(json.loads(wrapped.read_bytes())["chat_template"])
    return None
