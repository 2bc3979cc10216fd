"""`<tool_call>name` and `<arg_key>key</arg_key><arg_value>value</arg_value>` for each argument, as GLM-4.5 and its
successors write it."""

from collections.abc import Sequence
from typing import Final

from omnipipe.families.llm.asked import Tool
from omnipipe.families.llm.tools.dialect import Dialect, Literal
from omnipipe.families.llm.tools.tagged import TaggedParser, Tags
from omnipipe.families.llm.tools.tagged_rules import tagged_rules

__all__ = ["Glm4"]

_TAGS: Final = Tags(
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
)


class Glm4(Dialect):
    marks: tuple[str, ...] = (
        _TAGS.open, _TAGS.close, _TAGS.key_open, _TAGS.key_close, _TAGS.value_open, _TAGS.value_close,
    )  # fmt: skip
    opening: str | None = _TAGS.open

    def parser(self, tools: Sequence[Tool]) -> TaggedParser:
        return TaggedParser(_TAGS, tools)

    def rules(self, tools: Sequence[Tool], *, parallel: bool, literal: Literal) -> str:
        return tagged_rules(_TAGS, tools, parallel=parallel, literal=literal, line="")
