"""A loaded model's words: its vocabulary, its chat template, how it calls tools, whether it reasons, where it stops."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from omnipipe.families.llm.reasoning import CLOSE, OPEN, Thinking, thinking_after
from omnipipe.families.llm.rendering import ChatTemplate
from omnipipe.families.llm.tools.choosing import choose_dialect
from omnipipe.families.llm.tools.dialect import Dialect
from omnipipe.families.llm.vocabulary import Vocabulary

if TYPE_CHECKING:
    from transformers import GenerationConfig, PreTrainedTokenizerBase

__all__ = ["Model"]


@dataclass(frozen=True, slots=True)
class Model:
    vocabulary: Vocabulary
    template: ChatTemplate
    dialect: Dialect | None
    """None: it calls no tools."""
    reasons: bool
    tagged: bool
    """Its reasoning is between `<think>` and `</think>`."""
    stop_tokens: frozenset[int]
    """What ends its texts."""
    start_token: int | None
    """What stands for an empty prompt."""

    @classmethod
    def of(
        cls,
        tokenizer: "PreTrainedTokenizerBase",
        generation: "GenerationConfig | None",
        *,
        template: str | None,
        tool_parser: str,
        reasoning_parser: str,
    ) -> Self:
        """`template`: in place of the tokenizer's own; the parsers: the stage's options."""
        text = _own_template(tokenizer) if template is None else template
        dialect = choose_dialect(tool_parser, text)
        thinks = CLOSE in text if reasoning_parser == "auto" else reasoning_parser == "think"
        whole = dialect is not None and dialect.whole
        marks = (*(dialect.marks if dialect else ()), *((OPEN, CLOSE) if thinks else ()))
        stops = getattr(generation, "eos_token_id", None)
        stops = [stops] if isinstance(stops, int) else list(stops or ())
        if isinstance(tokenizer.eos_token_id, int):
            stops.append(tokenizer.eos_token_id)
        vocabulary = Vocabulary(tokenizer, marks)
        ends = map(vocabulary.special, dialect.ends if dialect else ())
        stops += [end for end in ends if end is not None]
        start = tokenizer.bos_token_id if isinstance(tokenizer.bos_token_id, int) else tokenizer.eos_token_id
        return cls(
            vocabulary=vocabulary,
            template=ChatTemplate(tokenizer, text),
            dialect=dialect,
            reasons=thinks or whole,
            tagged=thinks and not whole,
            stop_tokens=frozenset(stops),
            start_token=start if isinstance(start, int) else None,
        )

    @property
    def summary(self) -> str:
        """For the log."""
        chat = "a chat template" if self.template.text else "no chat template"
        tools = f"calls tools as {type(self.dialect).__name__.lower()}" if self.dialect else "calls no tools"
        return f"{len(self.vocabulary)} tokens, {chat}, {tools}, {'reasons' if self.reasons else 'does not reason'}"

    def thinking(self, prompt: str) -> Thinking:
        return thinking_after(prompt) if self.tagged else Thinking.NEVER


def _own_template(tokenizer: "PreTrainedTokenizerBase") -> str:
    template = tokenizer.chat_template
    if isinstance(template, dict):
        template = template.get("default") or next(iter(template.values()), "")
    return template or ""
