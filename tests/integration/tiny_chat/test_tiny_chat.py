"""builtin://tiny-chat does what its card (docs/models.md) says, by transformers' own generate, on exercises that its
training never saw. Thresholds are well below the measured figures: other versions of torch round otherwise."""

from typing import Any

import pytest
from tools.tiny_chat.evaluate import answers, measure
from tools.tiny_chat.instance import Instance
from tools.tiny_chat.tokens import render
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from omnipipe.engines.loading import load_model, load_tokenizer
from omnipipe.weights import resolve

Loaded = tuple[PreTrainedModel, PreTrainedTokenizerBase]


@pytest.fixture(scope="module")
def tiny_chat() -> Loaded:
    folder = resolve("builtin://tiny-chat")
    return load_model(folder, device="cpu", dtype="float32").module, load_tokenizer(folder)


@pytest.mark.parametrize(
    ("task", "least"),
    [
        ("add", 0.8),
        ("subtract", 0.65),
        ("multiply", 0.85),
        ("story", 0.85),
        ("sort_numbers", 0.65),
        ("extreme", 0.7),
        ("sort_words", 0.6),
        ("count_words", 0.8),
        ("context", 0.5),
        ("json", 0.75),
        ("tool_call", 0.7),
        ("tool_answer", 0.8),
        ("chat", 0.85),
        ("named", 0.8),
        ("unknown", 0.85),
    ],
)
def test_unseen_exercises_are_answered(tiny_chat: Loaded, task: str, least: float) -> None:
    share, wrong = measure(*tiny_chat, task, count=40, seed=11)
    assert share >= least, [(one.messages[-2:], text) for one, text in wrong[:5]]


@pytest.mark.parametrize(
    "text",
    ["", "Hello, wörld!", "👩‍💻🔥 naïve café", "日本語\tand\n\nlines  ", "<b>&amp;</b>", "0123456789", "\x00\x7f"],
)
def test_the_tokenizer_gives_back_every_text(tiny_chat: Loaded, text: str) -> None:
    _, tokenizer = tiny_chat
    assert tokenizer.decode(tokenizer.encode(text, add_special_tokens=False)) == text


def test_the_template_takes_what_openai_clients_send(tiny_chat: Loaded) -> None:
    _, tokenizer = tiny_chat
    function = {
        "name": "f",
        "parameters": {"type": "object", "properties": {"a": {"type": "integer"}, "b": {}}, "required": ["a"]},
    }
    call = {"id": "1", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}}
    messages: list[Any] = [
        {"role": "developer", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": "Call "}, {"type": "text", "text": "f"}]},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "1", "content": "2"},
    ]
    text = tokenizer.apply_chat_template(
        messages,
        tools=[{"type": "function", "function": function}],
        tokenize=False,
        add_generation_prompt=True,
    )
    assert text == (
        "<|im_start|>system\nBe brief.\n<tools>\nf(a: integer, b?: any)\n</tools><|im_end|>\n"
        "<|im_start|>user\nCall f<|im_end|>\n"
        '<|im_start|>assistant\n<tool_call>\n{"name": "f", "arguments": {"a": 1}}\n</tool_call><|im_end|>\n'
        "<|im_start|>tool\n2<|im_end|>\n"
        "<|im_start|>assistant\n"
    )


def test_the_shipped_template_is_the_one_of_the_training(tiny_chat: Loaded) -> None:
    _, tokenizer = tiny_chat
    messages = [{"role": "user", "content": "Hello!"}]
    assert tokenizer.apply_chat_template(messages, tokenize=False) == render(messages, ())


def test_an_answer_does_not_depend_on_its_batch(tiny_chat: Loaded) -> None:
    asked = [Instance.asked("", "", text, "") for text in ("What is 2 + 3?", "Who are you?", "Sort: 9, 4, 7")]
    together = answers(*tiny_chat, asked)
    assert together == [answers(*tiny_chat, [one])[0] for one in asked]
    assert together[0] == "2 + 3 = 5"
