"""How the options of one request relate to each other: what can be refused without a model."""

from omnipipe.families.llm.asked import Options, invalid
from omnipipe.spec.suggest import listed

__all__ = ["check_options", "check_tools"]


def check_options(options: Options) -> None:
    """Raises RequestError naming the field."""
    _check_lengths(options)
    _check_constraints(options)


def _check_lengths(options: Options) -> None:
    most = options.max_tokens if options.max_completion_tokens is None else options.max_completion_tokens
    if options.min_tokens < 0:
        raise invalid("'min_tokens' must be at least 0.", "min_tokens")
    if most is not None and options.min_tokens > most:
        raise invalid(f"'min_tokens' must be at most the most tokens asked for, {most}.", "min_tokens")
    _check_bias(options)


def _check_bias(options: Options) -> None:
    named: dict[int, str] = {}
    for key in options.logit_bias:
        if not key.isascii() or not key.isdecimal():
            raise invalid(f"'logit_bias' has the key {key!r}, which is not a token id.", "logit_bias")
        first = named.setdefault(int(key), key)
        if first != key:
            text = f"'logit_bias' has two keys for token {int(key)}: {first!r} and {key!r}. Give one of them."
            raise invalid(text, "logit_bias")


def _check_constraints(options: Options) -> None:
    """One thing at a time can say what the text must look like."""
    names = ("guided_json", "guided_regex", "guided_choice", "guided_grammar")
    given = [name for name in names if getattr(options, name) is not None]
    shape = options.response_format
    if shape is not None and shape.type != "text":
        given.append("response_format")
    if len(given) > 1:
        raise invalid(f"{listed(given)} cannot be combined: give one of them.", given[0])
    if given and given[0] != "response_format" and options.must_call:
        raise invalid(f"'{given[0]}' cannot be combined with a 'tool_choice' that forces a call.", given[0])
    if shape is not None and shape.type == "json_schema" and shape.json_schema is None:
        path = "response_format.json_schema"
        raise invalid(f"Missing required parameter: '{path}'.", path, "missing_required_parameter")
    if options.guided_choice is not None and not options.guided_choice:
        raise invalid("'guided_choice' must have one choice or more.", "guided_choice")


def check_tools(options: Options) -> None:
    """Of a chat. Raises RequestError naming the field."""
    tools = [tool.function.name for tool in options.tools]
    if len(set(tools)) != len(tools):
        raise invalid("'tools' has two functions of one name.", "tools")
    if not tools:
        if options.tool_choice not in (None, "none"):
            raise invalid("'tool_choice' is only allowed when 'tools' are specified.", "tool_choice")
        if options.parallel_tool_calls is not None:
            raise invalid("'parallel_tool_calls' is only allowed when 'tools' are specified.", "parallel_tool_calls")
    for name in options.named_tools:
        if name not in tools:
            raise invalid(f"'tool_choice' names the function '{name}', which is not among 'tools'.", "tool_choice")
