"""JSON in a text inside a request - arguments of calls, a schema - is a fault of the request when it cannot be used,
never one of the server's."""

import json

import msgspec
import pytest

from omnipipe.errors import ErrorKind, RequestError
from omnipipe.families.llm.asked import Chat, read_asked
from omnipipe.families.llm.inner_json import read_object
from omnipipe.families.llm.requests import LlmRequests
from omnipipe.families.requests import Message, Part, TextRequest, ToolCall
from omnipipe.wire.value import Value

BAD = {
    "no JSON": ("{oops", "is not JSON"),
    "no object": ("[1]", "must be a JSON object"),
    "NaN": ('{"a": NaN}', "NaN is no number"),
    "float overflow": ('{"a": 1e999}', "64 bit floats"),
    "beyond 64 bits": (f'{{"a": [{2**63}]}}', "64 bits"),
    "5000 digits": ('{"a": %s}' % ("9" * 5000), "thousands of digits"),
    "lone surrogate": ('{"a": "\\ud800"}', "surrogate"),
    "lone surrogate in a name": ('{"\\ud800": 1}', "surrogate"),
    "deep": ('{"a": ' + "[" * 40 + "]" * 40 + "}", "levels deep"),
    "long": ('{"a": "' + "x" * (1 << 20) + '"}', "longer than 1048576 characters"),
    "endless": ("[" * 200_000, "levels deep"),
}


def ask(arguments: str) -> Value:
    call = Message("assistant", (), tool_calls=(ToolCall("c1", "look", arguments),))
    result = Message("tool", (Part("text", "sunny"),), tool_call_id="c1")
    return LlmRequests().entry(TextRequest("chat", (call, result), frozenset({"text"}), None, {})).value


@pytest.mark.parametrize(("arguments", "words"), BAD.values(), ids=BAD)
def test_arguments_that_cannot_be_passed_on_are_refused_by_name(arguments: str, words: str) -> None:
    with pytest.raises(RequestError, match=words) as caught:
        ask(arguments)
    assert caught.value.kind is ErrorKind.INVALID
    assert caught.value.param == "messages[0].tool_calls[0].function.arguments"
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    "arguments",
    ["", "{}", '{"a": {"b": [1, -9223372036854775808, 1.5e300, null, true, "\\ud83d\\ude42 ü"]}}'],
)
def test_other_arguments_reach_the_template_as_they_are(arguments: str) -> None:
    value = ask(arguments)
    asked = read_asked(value)

    assert msgspec.msgpack.decode(msgspec.msgpack.encode(value)) == value
    assert isinstance(asked, Chat)
    assert asked.messages[0]["tool_calls"][0]["function"]["arguments"] == json.loads(arguments or "{}")


def test_a_schema_is_read_in_the_same_way() -> None:
    assert read_object('{"type": "string"}', "guided_json", "schema") == {"type": "string"}
    with pytest.raises(RequestError, match="'guided_json' must be a JSON schema"):
        read_object("5", "guided_json", "schema")
