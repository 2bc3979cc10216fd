"""The syntaxes whose calls are written in tags: they differ in the tags alone."""

from collections.abc import Sequence
from typing import Final

from omnipipe.families.llm.asked import Tool
from omnipipe.families.llm.tools.dialect import Dialect, Literal
from omnipipe.families.llm.tools.tagged import TaggedParser, Tags
from omnipipe.families.llm.tools.tagged_rules import tagged_rules

__all__ = ["GLM4", "QWEN3_CODER"]


class _Tagged(Dialect):
    def __init__(self, tags: Tags, *, line: str, seen: tuple[str, ...] = ()) -> None:
        """`line`: between two tags, as the model writes them. `seen`: further marks that may be special tokens."""
        self.marks = (tags.open, tags.close, *seen)
        self.opening: str | None = tags.open
        self._tags = tags
        self._line = line

    def parser(self, tools: Sequence[Tool]) -> TaggedParser:
        return TaggedParser(self._tags, tools)

    def rules(self, tools: Sequence[Tool], *, parallel: bool, literal: Literal) -> str:
        return tagged_rules(self._tags, tools, parallel=parallel, literal=literal, line=self._line)


GLM4: Final[Dialect] = _Tagged(
    Tags(
        open="<tool_call>",
        close="</tool_call>",
        name_open="",
        name_ends="\n<",
        key_open="<arg_key>",
        key_close="</arg_key>",
        value_open="<arg_value>",
        value_close="</arg_value>",
        end="",
        padded=False,
    ),
    line="",
    seen=("<arg_key>", "</arg_key>", "<arg_value>", "</arg_value>"),
)
"""`<tool_call>name` and `<arg_key>key</arg_key><arg_value>value</arg_value>` for each argument: of GLM-4.5 and its
successors."""
QWEN3_CODER: Final[Dialect] = _Tagged(
    Tags(
        open="<tool_call>",
        close="</tool_call>",
        name_open="<function=",
        name_ends=">",
        key_open="<parameter=",
        key_close=">",
        value_open="",
        value_close="</parameter>",
        end="</function>",
        padded=True,
    ),
    line="\n",
)
"""`<tool_call><function=name><parameter=key>value</parameter></function></tool_call>`: of Qwen3-Coder."""
