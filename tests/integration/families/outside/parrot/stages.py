"""The programs: an autoregressive one and a batch one. Imported by stage processes alone."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from omnipipe.engines.autoregressive.program import End, Generation, Progress, Prompt, Sampling, Turn
from omnipipe.engines.loading import load_model, load_tokenizer
from omnipipe.engines.program import Emit, Job, Outcome, StageContext
from omnipipe.weights.resolve import resolve

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

__all__ = ["Shouter", "Writer"]


class Asked(msgspec.Struct, frozen=True):
    text: str
    max_tokens: int | None = None


class Writer:
    """An `AutoregressiveProgram`: says what the prompt is and what tokens mean; the engine does the rest."""

    hidden_layers: tuple[int, ...] = ()

    def __init__(self, context: StageContext) -> None:
        self._source = context.source or ""
        self.tokenizer: PreTrainedTokenizerBase | None = None
        self._words: Any = None  # transformers' tokenizers are typed for less than they do

    def load(self, dtype: Literal["auto", "float32", "bfloat16", "float16"]) -> "PreTrainedModel":
        folder = resolve(self._source)
        self._words = self.tokenizer = load_tokenizer(folder)
        return load_model(folder, dtype=dtype).module

    def begin(self, job: Job, context: int) -> Generation:
        asked = msgspec.convert(job.inputs["request"], Asked)  # others than our gateway may ask a stage
        if asked.text == "stumble":
            raise ValueError("over a secret")
        chat = [{"role": "user", "content": asked.text}]
        tokens = self._words.apply_chat_template(chat, add_generation_prompt=True, return_dict=False)
        return Generation(
            prompt=[Prompt(tokens)],
            max_tokens=asked.max_tokens,
            stop_tokens=frozenset({self._words.eos_token_id}),
            sampling=Sampling(temperature=0.0),
        )

    def advance(self, job: Job, progress: Progress) -> Turn:
        return Turn([Emit("words", {"text": self._words.decode(progress.tokens)})])

    def feed(self, job: Job) -> Turn:
        return Turn()

    def finish(self, job: Job, end: End) -> Sequence[Emit]:
        # Who answers is not who knows: usage and reason go along with the last words.
        usage = {"prompt_tokens": end.prompt_tokens, "completion_tokens": end.completion_tokens}
        return [Emit("words", {"text": "", "usage": usage, "finish_reason": end.reason}, last=True)]


class Shouter:
    """A `BatchProgram` that takes a stream and gives one."""

    def __init__(self, context: StageContext) -> None:
        marks = context.params.get("marks", 1)
        self._end = "!" * marks if isinstance(marks, int) else ""

    def cost(self, job: Job) -> int:
        return 1

    def run(self, batch: Sequence[Job]) -> Sequence[Outcome | Exception]:
        return [self._one(job) for job in batch]

    def _one(self, job: Job) -> Outcome:
        words: list[Any] = job.chunks["words"]
        text = "".join(word["text"] for word in words).upper()
        if "words" not in job.ended:
            return Outcome([Emit("text", text)] if text else [], "wait")
        meta = {"usage": words[-1]["usage"], "finish_reason": words[-1]["finish_reason"]}
        return Outcome([Emit("text", text + self._end, last=True, meta=meta)])
