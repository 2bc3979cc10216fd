"""What an answer is held to: the grammar that follows from `response_format`, `guided_*`, `tools` and `tool_choice`.

In llguidance's dialect of Lark. A model that reasons does so first, free of it.
"""

import json
from collections.abc import Sequence

from omnipipe.engines.autoregressive.program import Grammar
from omnipipe.families.llm.asked import Options, Tool, invalid
from omnipipe.families.llm.inner_json import read_object
from omnipipe.families.llm.reasoning import CLOSE, OPEN, Thinking
from omnipipe.families.llm.tools.dialect import Dialect, Literal
from omnipipe.families.llm.tools.harmony import Harmony
from omnipipe.families.llm.tools.schema import json_schema, quoted

__all__ = ["constraint"]

_TERMINALS = "SPACE: /[ \\n]{0,8}/\nTEXT: /(.|\\n)*/\n"


def constraint(options: Options, dialect: Dialect | None, thinking: Thinking, literal: Literal) -> Grammar | None:
    """None: it may say anything. `dialect`: when there are tools, or all is said in it."""
    tools = options.usable_tools
    shape = _shape(options)
    if isinstance(dialect, Harmony):
        return _in_channels(options, dialect, tools, shape, literal)
    if dialect is not None and tools and (options.must_call or shape is not None or _strict(tools)):
        return _with_tools(options, dialect, tools, shape, thinking, literal)
    if shape is None or thinking is Thinking.NEVER or shape.kind == "lark":
        return shape
    return Grammar("lark", _thinking(thinking, literal) + f"answer: {_rule(shape)}\n" + _TERMINALS, shape.param)


def _in_channels(
    options: Options, dialect: Harmony, tools: Sequence[Tool], shape: Grammar | None, literal: Literal
) -> Grammar | None:
    must, strict = options.must_call, _strict(tools)
    if shape is None and not must and not strict:
        return None
    if shape is not None and shape.kind == "lark":
        raise invalid("'guided_grammar' cannot be held to by a model that answers in channels.", "guided_grammar")
    rules, answers = "", []
    if tools and (must or strict or shape is not None):
        name = options.chosen_tool
        chosen = [tool for tool in tools if name in (None, tool.function.name)]
        rules += dialect.rules(chosen, parallel=False, literal=literal)
        answers.append("calls")
    if not must:
        rules += dialect.final("TEXT" if shape is None else "shape", literal)
        rules += "" if shape is None else f"shape: {_rule(shape)}\n"
        answers.append("final")
    param = "tools" if shape is None or must else shape.param
    return Grammar("lark", dialect.start(" | ".join(answers), literal) + rules + _TERMINALS, param)


def _strict(tools: Sequence[Tool]) -> bool:
    return any(tool.function.strict for tool in tools)


def _shape(options: Options) -> Grammar | None:
    """Of the answer's text."""
    wanted = options.response_format
    if wanted is not None and wanted.type == "json_object":
        return Grammar("json_schema", json_schema({"type": "object"}), "response_format")
    if wanted is not None and wanted.json_schema is not None:
        return Grammar("json_schema", json_schema(wanted.json_schema.schema or {}), "response_format")
    if options.guided_json is not None:
        return Grammar("json_schema", json_schema(_schema(options.guided_json)), "guided_json")
    if options.guided_regex is not None:
        return Grammar("regex", options.guided_regex, "guided_regex")
    if options.guided_choice is not None:
        return Grammar("choice", options.guided_choice, "guided_choice")
    if options.guided_grammar is not None:
        return Grammar("lark", options.guided_grammar, "guided_grammar")
    return None


def _schema(given: dict[str, object] | str) -> dict[str, object]:
    return read_object(given, "guided_json", "schema") if isinstance(given, str) else given


def _rule(shape: Grammar) -> str:
    """A grammar as part of another."""
    match shape.kind, shape.source:
        case "json_schema", source:
            return f"%json {json.dumps(source)}"
        case "regex", str(pattern):
            return "/" + pattern.replace("\\/", "/").replace("/", "\\/").replace("\n", "\\n") + "/"
        case "choice", list(choices):
            return " | ".join(quoted(choice) for choice in choices)
        case kind, _:
            raise ValueError(f"a grammar of kind {kind} cannot be part of another")


def _with_tools(
    options: Options,
    dialect: Dialect,
    tools: Sequence[Tool],
    shape: Grammar | None,
    thinking: Thinking,
    literal: Literal,
) -> Grammar:
    name = options.chosen_tool
    chosen = [tool for tool in tools if name in (None, tool.function.name)]
    rules = dialect.rules(chosen, parallel=options.parallel_tool_calls is not False and name is None, literal=literal)
    param = "tools"
    if options.must_call:
        answer = "answer: calls\n"
    elif shape is not None and shape.kind != "lark":
        answer, param = f"answer: calls | shape\nshape: {_rule(shape)}\n", shape.param
    elif shape is not None:
        raise invalid("'guided_grammar' cannot be combined with 'tools'.", "guided_grammar")
    else:
        answer = _free(dialect.opening, literal)
    return Grammar("lark", _thinking(thinking, literal) + answer + rules + _TERMINALS, param)


def _free(opening: str | None, literal: Literal) -> str:
    """Any text, and calls that hold to their schemas."""
    if opening is None:
        return "answer: calls | FREE?\nFREE: /[^{\\s](.|\\n)*/\n"
    if not literal(opening).startswith('"'):
        return "answer: TEXT (calls SPACE)?\n"  # TEXT has no special tokens
    return (
        "answer: (before opened SPACE)? REST\n"
        f"before[suffix={literal(opening)}]: TEXT\n"
        f"REST: TEXT & ~/(.|\\n)*{_pattern(opening)}(.|\\n)*/\n"
    )


def _pattern(text: str) -> str:
    return "".join(f"\\{char}" if not char.isalnum() and char not in "_<>" else char for char in text)


def _thinking(thinking: Thinking, literal: Literal) -> str:
    """The rule `start`, over a rule `answer`."""
    if thinking is Thinking.NEVER:
        return "start: answer\n"
    start = "thought SPACE answer" if thinking is Thinking.OPENED else f"({literal(OPEN)} thought SPACE)? answer"
    close = literal(CLOSE)
    if close.startswith('"'):
        return f"start: {start}\nthought[suffix={close}]: TEXT\n"
    return f"start: {start}\nthought: TEXT {close}\n"
