"""Forced calls in every syntax: whatever a model says that is held to the grammar, the parser finds calls in it whose
arguments validate. A model is played by chance."""

import json
import random
from typing import Any, Final

import jsonschema_rs
import numpy as np
import pytest
from llguidance import LLMatcher, LLTokenizer
from llguidance.hf import from_tokenizer
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from omnipipe.errors import RequestError
from omnipipe.families.llm.asked import Function, Options, Tool, read_options
from omnipipe.families.llm.constraints import constraint
from omnipipe.families.llm.reasoning import Reasoning, Thinking
from omnipipe.families.llm.speech import Speech
from omnipipe.families.llm.tools.choosing import choose_dialect
from omnipipe.families.llm.tools.dialect import Dialect
from omnipipe.families.llm.vocabulary import Vocabulary

PARSERS: Final = ("deepseek", "glm4", "harmony", "hermes", "kimi", "llama3", "mistral", "qwen3_coder")
WEATHER: Final[dict[str, Any]] = {
    "type": "object",
    "properties": {
        "city": {"type": "string"},
        "unit": {"enum": ["°C", "F"]},
        "days": {"type": "array", "items": {"type": "integer", "minimum": 0, "maximum": 9}, "maxItems": 3},
        "code": {"type": "string", "minLength": 2, "maxLength": 4},
        "when": {"anyOf": [{"$ref": "#/$defs/day"}, {"type": "null"}]},
        "note": {"type": ["string", "null"]},
    },
    "required": ["city", "unit", "days", "code"],
    "additionalProperties": False,
    "$defs": {"day": {"type": "integer", "minimum": 1, "maximum": 31}},
}
TOOLS: Final = [
    {"type": "function", "function": {"name": "get_weather", "parameters": WEATHER, "strict": True}},
    {"type": "function", "function": {"name": "get_time"}},
]
SCHEMAS: Final = {"get_weather": WEATHER, "get_time": {"type": "object", "maxProperties": 0}}
CLOSING: Final = 40
"""How much likelier than others tokens are that bring something to its end: chance knows no end."""
STEPS: Final = 400
WALKS: Final = 25


class Chance:
    """A model of one syntax."""

    def __init__(self, parser: str) -> None:
        dialect = choose_dialect(parser, "```json" if parser == "deepseek" else "")
        assert dialect is not None
        self.dialect: Dialect = dialect
        # Of the two that share a syntax one has its marks as tokens, the other in letters.
        alone = () if parser == "qwen3_coder" else dialect.marks
        tokenizer = Tokenizer(models.BPE())
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
        tokenizer.decoder = decoders.ByteLevel()
        trainer = trainers.BpeTrainer(
            vocab_size=400, special_tokens=["<end>"], initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        )  # fmt: skip
        tokenizer.train_from_iterator(["\n</parameter>\n", '"}}', '"}', "<tool_call>"] * 20, trainer)
        tokenizer.add_tokens([AddedToken(mark, special=True, normalized=False) for mark in alone])
        self.tokenizer: PreTrainedTokenizerFast = PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
            tokenizer_object=tokenizer, eos_token="<end>"
        )
        self.vocabulary = Vocabulary(self.tokenizer, dialect.marks)
        self._made: LLTokenizer = from_tokenizer(self.tokenizer)
        texts = [str(self.tokenizer.decode([token])) for token in range(len(self.tokenizer))]
        closing = {"<end>", "", '"', "}", "]", '"}', '"}}', "</parameter>", "<tool_call>", *dialect.marks}
        ends = [text.strip() in closing for text in texts]
        self._weights = np.where(ends, CLOSING, 1)

    def say(self, options: Options, seed: int) -> tuple[str, bool]:
        """A text, and whether it is at its end."""
        grammar = constraint(options, self.dialect, Thinking.NEVER, self.vocabulary.literal)
        assert grammar is not None
        assert grammar.kind == "lark"
        matcher = LLMatcher(self._made, LLMatcher.grammar_from_lark(str(grammar.source)), log_level=0)
        assert not matcher.is_error(), matcher.get_error()
        chance = random.Random(seed)
        tokens: list[int] = []
        while not matcher.is_stopped() and len(tokens) < STEPS:
            bits = np.frombuffer(matcher.compute_bitmask(), dtype=np.uint8)
            allowed = np.flatnonzero(np.unpackbits(bits, bitorder="little")[: len(self._weights)])
            (token,) = chance.choices(allowed.tolist(), self._weights[allowed].tolist())
            assert matcher.consume_token(token)
            tokens.append(token)
        return self.vocabulary.decode_marked(tokens), matcher.is_stopped()

    def heard(self, text: str, options: Options) -> tuple[str, list[tuple[str, str]]]:
        speech = Speech(Reasoning(Thinking.NEVER), self.dialect.parser(options.usable_tools), self.dialect.call_id)
        content, calls = "", list[tuple[str, str]]()
        for piece in (speech.push(text), speech.finish()):
            content += piece.get("content", "")
            for call in piece.get("tool_calls", []):
                if "name" in call:
                    calls.append((call["name"], ""))
                name, arguments = calls[call["index"]]
                calls[call["index"]] = (name, arguments + call.get("arguments", ""))
        assert speech.calls == len(calls)
        return content, calls


@pytest.fixture(scope="module", params=PARSERS)
def model(request: pytest.FixtureRequest) -> Chance:
    return Chance(request.param)


@pytest.mark.parametrize("asked", [
    {"tool_choice": "required"},
    {"tool_choice": {"type": "function", "function": {"name": "get_weather"}}},
    {"tool_choice": "auto"},
    {"tool_choice": "required", "parallel_tool_calls": False},
])  # fmt: skip
def test_calls_validate(model: Chance, asked: dict[str, Any]) -> None:
    options = read_options({"tools": TOOLS, **asked})
    found = 0
    for seed in range(WALKS):
        text, ended = model.say(options, seed)
        if not ended:
            continue
        content, calls = model.heard(text, options)
        found += len(calls)
        if asked["tool_choice"] != "auto":
            assert calls, text
            if not model.dialect.whole:
                assert content == ""
        if asked.get("parallel_tool_calls") is False:
            assert len(calls) == 1
        for name, arguments in calls:
            jsonschema_rs.validate(SCHEMAS[name], json.loads(arguments))
    if asked["tool_choice"] != "auto" or model.dialect.opening is not None:  # else chance hardly ever begins with one
        assert found >= (1 if asked["tool_choice"] == "auto" else 5)


@pytest.mark.parametrize("parser", ["glm4", "qwen3_coder"])
@pytest.mark.parametrize(
    ("schema", "word"),
    [
        ({"properties": {"a": {"type": "string", "format": "date"}}}, "format"),
        ({"properties": {"a": {"type": "string", "pattern": "^a"}}}, "pattern"),
        ({"properties": {}, "minProperties": 1}, "minProperties"),
        ({"properties": {"a": {"enum": ["x</parameter></arg_value>"]}}}, "in a value"),
        ({"properties": {"a": {"anyOf": [{"type": "string", "maxLength": 3}, {"type": "integer"}]}}}, "anyOf"),
    ],
)
def test_what_bare_text_cannot_be_held_to_is_refused_by_name(parser: str, schema: dict[str, Any], word: str) -> None:
    dialect = choose_dialect(parser, "")
    assert dialect is not None
    tool = Tool("function", Function("f", parameters=schema))
    with pytest.raises(RequestError, match=word) as caught:
        dialect.rules([tool], parallel=False, literal=lambda text: json.dumps(text))
    assert caught.value.param == "tools"


def test_answers_in_channels_are_held_to_a_shape() -> None:
    model = Chance("harmony")
    shape = {"type": "json_schema", "json_schema": {"name": "s", "schema": SCHEMAS["get_time"]}}
    found = 0
    for tools in ([], TOOLS):
        options = read_options({"response_format": shape, **({"tools": tools} if tools else {})})
        for seed in range(WALKS):
            text, ended = model.say(options, seed)
            content, calls = model.heard(text, options)
            if ended and not calls and "commentary" not in text:
                assert json.loads(content) == {}
                found += 1
    assert found > 3
