"""What is held to a grammar matches it, whatever the model would rather say."""

import json
import re
from collections.abc import Sequence
from typing import Any

import pytest
from tests.integration.engines.autoregressive.serving import GREEDY, Driver, TokenProgram, engine_for, model_of
from tests.integration.engines.autoregressive.tokenizing import END, byte_tokenizer
from transformers import PreTrainedModel

from omnipipe.engines.autoregressive.program import Finish, Grammar, Sampling
from omnipipe.errors import ErrorKind

TOKENIZER = byte_tokenizer()
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "maxLength": 5},
        "size": {"enum": ["small", "großes", "巨大"]},
        "on": {"type": "boolean"},
        "many": {"type": "array", "items": {"type": "integer", "minimum": 0, "maximum": 9}, "maxItems": 3},
    },
    "required": ["name", "size", "on", "many"],
    "additionalProperties": False,
}


@pytest.fixture(scope="module")
def model() -> PreTrainedModel:
    model = model_of("qwen3", seed=4)
    assert model.generation_config is not None
    model.generation_config.eos_token_id = END
    return model


def text_of(tokens: Sequence[int]) -> str:
    text = TOKENIZER.decode(list(tokens), skip_special_tokens=True)
    assert isinstance(text, str)
    return text


def ask(driver: Driver, rid: str, grammar: Grammar, count: int = 200, sampling: Sampling = GREEDY) -> Any:
    return driver.ask(
        rid, TOKENIZER.encode(f"say {rid}"), count, grammar=grammar, sampling=sampling, stop_tokens=frozenset({END})
    )


def fits(value: Any) -> bool:
    return (
        list(value) == ["name", "size", "on", "many"]
        and isinstance(value["name"], str)
        and len(value["name"]) <= 5
        and value["size"] in SCHEMA["properties"]["size"]["enum"]
        and isinstance(value["on"], bool)
        and all(type(item) is int and 0 <= item <= 9 for item in value["many"])
        and len(value["many"]) <= 3
    )


def test_every_kind_is_kept_to_in_one_batch_beside_free_ones(model: PreTrainedModel) -> None:
    schema = Grammar("json_schema", {**SCHEMA, "x-guidance": {"whitespace_flexible": False}})
    grammars = {
        "schema": schema,
        "schema as text": Grammar("json_schema", json.dumps(schema.source)),
        "regex": Grammar("regex", r"[a-c]{3,6}-\d\d"),
        "choice": Grammar("choice", ["yes", "no", 'vielleicht – ä\n"quoted"']),
        "lark": Grammar("lark", 'start: "<" NAME ">"\nNAME: /[a-z]{2,4}/'),
    }
    with engine_for(TokenProgram(model, tokenizer=TOKENIZER), step_tokens=32) as driver:
        for seed in range(6):
            sampling = Sampling(temperature=1.5, seed=seed) if seed else GREEDY
            answers = {name: ask(driver, f"{name} {seed}", g, sampling=sampling) for name, g in grammars.items()}
            driver.ask(f"free {seed}", [5, 6, 7], 30, sampling=Sampling())
            driver.run()
            texts = {}
            for name, answer in answers.items():
                assert answer.error is None, answer.error
                assert answer.end.reason == Finish.STOP
                texts[name] = text_of(answer.tokens)
            assert fits(json.loads(texts["schema"]))
            assert fits(json.loads(texts["schema as text"]))
            assert re.fullmatch(r"[a-c]{3,6}-\d\d", texts["regex"])
            assert texts["choice"] in grammars["choice"].source
            assert re.fullmatch(r"<[a-z]{2,4}>", texts["lark"])
        driver.check_idle()


def test_an_object_that_is_cut_off_says_length(model: PreTrainedModel) -> None:
    with engine_for(TokenProgram(model, tokenizer=TOKENIZER)) as driver:
        answer = ask(driver, "a", Grammar("json_object"), count=2)
        driver.run()
        assert answer.end.reason == Finish.LENGTH
        assert text_of(answer.tokens).startswith("{")


@pytest.mark.parametrize(
    "grammar",
    [
        Grammar("json_schema", '{"type": "nonsense"}', param="response_format"),
        Grammar("json_schema", "not json", param="response_format"),
        Grammar("regex", "(", param="guided_regex"),
        Grammar("lark", "start: nowhere", param="guided_grammar"),
        Grammar("choice", [], param="guided_choice"),
    ],
)
def test_a_grammar_that_makes_no_sense_is_refused_by_name(model: PreTrainedModel, grammar: Grammar) -> None:
    with engine_for(TokenProgram(model, tokenizer=TOKENIZER)) as driver:
        wrong = ask(driver, "wrong", grammar)
        right = ask(driver, "right", Grammar("choice", ["yes"]))
        driver.run()
        assert wrong.error is not None
        assert (wrong.error.kind, wrong.error.param) == (ErrorKind.INVALID, grammar.param)
        assert text_of(right.tokens) == "yes"
        driver.check_idle()


def test_without_a_tokenizer_it_is_refused(model: PreTrainedModel) -> None:
    with engine_for(TokenProgram(model)) as driver:
        answer = ask(driver, "a", Grammar("json_object"))
        driver.run()
        assert answer.error is not None
        assert answer.error.kind is ErrorKind.UNPROCESSABLE


def test_it_survives_preemption(model: PreTrainedModel) -> None:
    grammar = Grammar("regex", "[ab]{40}")
    with engine_for(TokenProgram(model, tokenizer=TOKENIZER), kv_bytes=6 << 13, prefix_cache=False) as driver:
        answers = [ask(driver, str(n), grammar) for n in range(4)]
        driver.run()
        assert driver.engine.scheduler.preemptions > 0
        assert all(re.fullmatch("[ab]{40}", text_of(answer.tokens)) for answer in answers)
        driver.check_idle()


def test_requests_of_one_grammar_are_each_at_their_own_place(model: PreTrainedModel) -> None:
    """The matcher that is kept stays at the beginning, and one that makes no sense is refused every time."""
    grammar, wrong = Grammar("json_schema", SCHEMA), Grammar("regex", "[unclosed")
    warm = Sampling(temperature=1.2, seed=1)
    with engine_for(TokenProgram(model, tokenizer=TOKENIZER)) as driver:
        first = ask(driver, "first", grammar, sampling=warm)
        for _ in range(7):
            driver.step()
        others = [ask(driver, f"other {n}", grammar, sampling=Sampling(temperature=1.2, seed=n)) for n in range(4)]
        refused = [ask(driver, f"wrong {n}", wrong) for n in range(2)]
        driver.run()
        again = ask(driver, "again", grammar, sampling=warm)
        driver.run()
    answers = [first, *others, again]
    ended = [answer for answer in answers if answer.end is not None and answer.end.reason == Finish.STOP]
    assert len(ended) > len(answers) // 2  # chance may find no end of white space
    for answer in ended:
        assert fits(json.loads(text_of(answer.tokens)))
    for answer in refused:
        assert answer.error is not None
        assert answer.error.kind is ErrorKind.INVALID
