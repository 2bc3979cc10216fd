"""Megabytes of text are refused in the time that a context of it takes: a stage that tokenizes serves nobody else."""

from collections.abc import Callable
from typing import Any

import pytest
from tests.integration.families.llm.models import tokenizer_of

from omnipipe.engines.program import Emit, Job, StageContext
from omnipipe.errors import RequestError
from omnipipe.families.llm.asked import Chat, Completion, Options
from omnipipe.families.llm.model import Model
from omnipipe.families.llm.questions import chat_question, completion_question
from omnipipe.families.llm.requests import LlmRequests
from omnipipe.families.llm.stages import MOST_CHARACTERS, Llm
from omnipipe.families.llm.vocabulary import Vocabulary
from omnipipe.families.requests import Entry, TokenizeRequest

CONTEXT = 1024
TEMPLATE = "{% for message in messages %}{{ message.content }}{% endfor %}"


@pytest.fixture
def encoded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Characters of each text that was tokenized."""
    sizes: list[int] = []
    encode = Vocabulary.encode

    def counting(self: Vocabulary, text: str, *, special: bool) -> list[int]:
        sizes.append(len(text))
        return encode(self, text, special=special)

    monkeypatch.setattr(Vocabulary, "encode", counting)
    return sizes


@pytest.fixture(scope="module")
def model() -> Model:
    return Model.of(tokenizer_of("qwen"), None, template=TEMPLATE, tool_parser="none", reasoning_parser="none")


@pytest.mark.parametrize("text", ["x", "one two ", "\n", "\0", "🙂"])
def test_a_chat_and_a_completion_are_refused_after_a_context_or_two(
    model: Model, encoded: list[int], text: str
) -> None:
    long = text * (4_000_000 // len(text))
    asks: list[Callable[[], object]] = [
        lambda: chat_question(model, Chat([{"role": "user", "content": long}], Options()), CONTEXT),
        lambda: completion_question(model, Completion(long, Options()), CONTEXT),
    ]
    for ask in asks:
        encoded.clear()
        with pytest.raises(RequestError, match=r"maximum context length is 1024 tokens.* in more than 1024") as caught:
            ask()
        assert caught.value.code == "context_length_exceeded"
        assert sum(encoded) < 100 * CONTEXT


def test_what_fits_is_tokenized_once(model: Model, encoded: list[int]) -> None:
    completion_question(model, Completion("one two " * 100, Options()), CONTEXT)
    assert encoded == [800]


def test_a_text_that_is_only_made_tokens_has_a_bound(model: Model) -> None:
    stage = Llm(StageContext("llm", None, {}))
    stage._model = model

    def begin(entry: Entry) -> Any:
        return stage.begin(Job("r", {"request": entry.value}, {}, frozenset({"text"}), frozenset(), 0.0), CONTEXT)

    requests = LlmRequests()
    with pytest.raises(RequestError, match="'prompt' is longer than") as caught:
        begin(requests.entry_tokenize(TokenizeRequest("x" * (MOST_CHARACTERS + 1))))
    assert caught.value.param == "prompt"
    (said,) = begin(requests.entry_tokenize(TokenizeRequest("one two " * 5000)))
    assert isinstance(said, Emit)
    assert said.value["count"] > CONTEXT  # more than a context, and told all the same
