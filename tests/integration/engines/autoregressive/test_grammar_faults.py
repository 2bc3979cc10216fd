"""Grammars that cannot be kept to, though they can be read: the client's fault, in words; no text that breaks them is
passed off as complete."""

import pytest
from tests.integration.engines.autoregressive.serving import TokenProgram, engine_for, model_of
from tests.integration.engines.autoregressive.tokenizing import END, byte_tokenizer
from transformers import PreTrainedModel

from omnipipe.engines.autoregressive.program import Finish, Grammar
from omnipipe.errors import ErrorKind

TOKENIZER = byte_tokenizer()


@pytest.fixture(scope="module")
def model() -> PreTrainedModel:
    return model_of("qwen3", seed=4)


BAD = {
    "rule that needs itself": (Grammar("lark", 'start: start "a"'), "no text fits it"),
    "schema of itself": (Grammar("json_schema", {"$ref": "#"}), "no text fits it"),
    "pattern of no character": (Grammar("regex", r"[^\s\S]"), "no text fits it"),
    "dead end later": (Grammar("lark", 'start: "ab" rest\nrest: rest "c"'), "no text fits it"),
    "endless at once": (Grammar("lark", 'start: "a" start'), "Too many items"),
    "look-around": (Grammar("regex", "(?=x)b"), "look-around, including look-ahead"),
    "look-around in a schema": (Grammar("json_schema", {"type": "string", "pattern": "(?=x)"}), "look-around"),
}


@pytest.mark.parametrize(("grammar", "words"), BAD.values(), ids=BAD)
def test_what_cannot_be_kept_to_is_refused_in_words(model: PreTrainedModel, grammar: Grammar, words: str) -> None:
    with engine_for(TokenProgram(model, tokenizer=TOKENIZER)) as driver:
        prompt, stops = TOKENIZER.encode("say"), frozenset({END})
        wrong = driver.ask("wrong", prompt, 50, grammar=grammar, stop_tokens=stops)
        right = driver.ask("right", prompt, 50, grammar=Grammar("choice", ["yes"]), stop_tokens=stops)
        driver.run()
        assert wrong.error is not None
        assert wrong.error.kind is ErrorKind.INVALID
        assert words in str(wrong.error)
        assert "\n" not in str(wrong.error)
        assert right.end is not None
        assert right.end.reason == Finish.STOP
        driver.check_idle()
