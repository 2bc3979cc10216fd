"""What a tool's parameters may be a schema of: an object, in OpenAI's words where not."""

from typing import Any

import pytest

from omnipipe.errors import RequestError
from omnipipe.gateway.openai.tools import Function, FunctionTool, check_tools


def check(parameters: dict[str, Any] | None) -> None:
    check_tools([FunctionTool(Function("a")), FunctionTool(Function("look", parameters=parameters))], None, None)


@pytest.mark.parametrize(
    "parameters",
    [None, {}, {"type": "object"}, {"type": ["object", "null"]}, {"$ref": "#/$defs/a", "$defs": {"a": {}}}],
)
def test_an_object(parameters: dict[str, Any] | None) -> None:
    check(parameters)


@pytest.mark.parametrize("kind", ["array", "string", "null", "strange", 5, None, ["string"], {"a": 1}, "x" * 1000])
def test_anything_else_is_refused_by_name(kind: Any) -> None:
    with pytest.raises(RequestError, match="Invalid schema for function 'look': schema must be") as caught:
        check({"type": kind, "properties": {}})
    assert caught.value.param == "tools[1].function.parameters"
    assert caught.value.code == "invalid_function_parameters"
    assert len(str(caught.value)) < 200
