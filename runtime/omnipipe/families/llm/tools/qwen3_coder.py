"""`<tool_call><function=name><parameter=key>value</parameter></function></tool_call>`, as Qwen3-Coder writes it."""

from collections.abc import Sequence
from typing import Final

from omnipipe.families.llm.asked import Tool
from omnipipe.families.llm.tools.dialect import Dialect, Literal
from omnipipe.families.llm.tools.tagged import TaggedParser, Tags
from omnipipe.families.llm.tools.tagged_rules import tagged_rules

__all__ = ["Qwen3Coder"]

_TAGS: Final = Tags(
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
)


class Qwen3Coder(Dialect):
    marks: tuple[str, ...] = (_TAGS.open, _TAGS.close)
    opening: str | None = _TAGS.open

    def parser(self, tools: Sequence[Tool]) -> TaggedParser:
        return TaggedParser(_TAGS, tools)

    def rules(self, tools: Sequence[Tool], *, parallel: bool, literal: Literal) -> str:
        return tagged_rules(_TAGS, tools, parallel=parallel, literal=literal, line="\n")
