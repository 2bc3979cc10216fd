"""The llm stage: what the autoregressive engine is told of a request, and what clients get of its tokens."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, assert_never

from omnipipe.engines.autoregressive.program import End, Finish, Generation, Progress, Turn
from omnipipe.engines.loading import load_generation_config, load_model, load_tokenizer
from omnipipe.engines.program import Emit, Job, StageContext
from omnipipe.families.llm.answering import Answer
from omnipipe.families.llm.asked import Chat, Completion, Detokenize, Tokenize, invalid, read_asked
from omnipipe.families.llm.model import Model
from omnipipe.families.llm.questions import chat_question, completion_question
from omnipipe.families.text_pieces import TEXT_OUTPUT, TokensPiece
from omnipipe.weights import resolve
from omnipipe.wire.value import Value

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

__all__ = ["MOST_CHARACTERS", "Llm"]

_log = logging.getLogger(__name__)

MOST_CHARACTERS: Final = 1 << 20
"""Of what is only made tokens: it takes a second or two, in which the stage does nothing else."""


class Llm:
    """An `AutoregressiveProgram`."""

    hidden_layers: tuple[int, ...] = ()

    def __init__(self, context: StageContext) -> None:
        self.tokenizer: PreTrainedTokenizerBase | None = None
        self._context = context
        self._model: Model

    def load(self, dtype: Literal["auto", "float32", "bfloat16", "float16"]) -> "PreTrainedModel":
        params = self._context.params
        trust: bool = params["trust_remote_code"]
        folder = resolve(self._context.source or "")
        loaded = load_model(folder, dtype=dtype, trust_remote_code=trust)
        self.tokenizer = load_tokenizer(folder, trust_remote_code=trust)
        given = str(params["chat_template"])
        self._model = Model.of(
            self.tokenizer,
            load_generation_config(folder),
            template=Path(given).read_text() if given else None,
            tool_parser=str(params["tool_parser"]),
            reasoning_parser=str(params["reasoning_parser"]),
        )
        _log.info("stage %s: %s", self._context.stage, self._model.summary)
        return loaded.module

    def begin(self, job: Job, context: int) -> "Generation | Sequence[Emit]":
        asked = read_asked(job.inputs["request"])
        match asked:
            case Chat():
                question = chat_question(self._model, asked, context)
            case Completion():
                question = completion_question(self._model, asked, context)
            case Tokenize():
                return self._tokenized(asked, context)
            case Detokenize():
                return [self._last(self._decoded(asked.tokens), len(asked.tokens))]
            case _:
                assert_never(asked)
        answer = job.state = Answer(self._model, question)
        generation = question.generation
        if generation.max_tokens == 0 and generation.prompt_logprobs is None:
            size = sum(map(len, generation.prompt))
            return answer.finish(End(Finish.LENGTH, size, completion_tokens=0, cached_tokens=0))
        return generation

    def advance(self, job: Job, progress: Progress) -> Turn:
        return _answer(job).advance(progress)

    def feed(self, job: Job) -> Turn:
        """The stage has no stream inputs."""
        return Turn()

    def finish(self, job: Job, end: End) -> Sequence[Emit]:
        return _answer(job).finish(end)

    def _tokenized(self, asked: Tokenize, context: int) -> list[Emit]:
        vocabulary, special = self._model.vocabulary, asked.add_special_tokens
        if asked.messages is not None:
            text = self._model.template.render(
                asked.messages, asked.tools, asked.chat_template_kwargs, answer=asked.add_generation_prompt
            )
            special, param = bool(special), "messages"
        else:
            text, special, param = asked.prompt or "", special is not False, "prompt"
        if len(text) > MOST_CHARACTERS:
            raise invalid(f"'{param}' is longer than {MOST_CHARACTERS} characters.", param)
        tokens = vocabulary.encode(text, special=special)
        piece: TokensPiece = {"tokens": tokens, "count": len(tokens), "max_model_len": context}
        if asked.return_token_strs:
            piece["token_strs"] = [vocabulary.token_text(token) for token in tokens]
        return [self._last(dict(piece), len(tokens))]

    def _decoded(self, tokens: list[int]) -> str:
        size = len(self._model.vocabulary)
        if tokens and not 0 <= min(tokens) <= max(tokens) < size:
            raise invalid(f"'tokens' has ids outside of 0 to {size - 1}.", "tokens")
        return self._model.vocabulary.decode_all(tokens)

    def _last(self, value: Value, tokens: int) -> Emit:
        usage = {"prompt_tokens": tokens, "completion_tokens": 0, "cached_tokens": 0}
        return Emit(TEXT_OUTPUT, value, last=True, meta={"finish_reason": "stop", "usage": usage})


def _answer(job: Job) -> Answer:
    assert isinstance(job.state, Answer)
    return job.state
