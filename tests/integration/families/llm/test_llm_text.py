"""Text of the llm family, out of a real stage: what transformers says, whole characters, no stop string leaked."""

import asyncio
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.integration.families.llm.models import save_model, tokenizer_of
from tests.integration.families.llm.serving import (
    Said,
    answer,
    ask_chat,
    ask_completion,
    assistant,
    connected,
    running,
    said,
    user,
)
from transformers import AutoModelForCausalLM

from omnipipe.errors import ErrorKind, RequestError
from omnipipe.families.llm.requests import LlmRequests
from omnipipe.families.requests import DetokenizeRequest, TokenizeRequest
from omnipipe.spec.plan import Plan

pytestmark = pytest.mark.timeout(400)  # torch and transformers are imported by a process of its own

ALPHABET = 'aZ 9\n"\\é́ñßΩजी東京🙂👩‍👩‍👧🇫🇷\u200d\u0301'
CONTEXT = 1024


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_model(tmp_path_factory.mktemp("qwen") / "model", "qwen")


@pytest.fixture(scope="module")
def plan(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plan]:
    with running(tmp_path_factory.mktemp("run"), model) as plan:
        yield plan


async def refusal(asked: "asyncio.Future[Said] | object") -> RequestError:
    with pytest.raises(RequestError) as caught:
        await asked  # type: ignore[misc]
    assert caught.value.kind is ErrorKind.INVALID
    return caught.value


def texts(count: int, seed: int) -> list[str]:
    """Of anything that Unicode has trouble with."""
    chance = random.Random(seed)
    return ["".join(chance.choices(ALPHABET, k=chance.randint(1, 14))) for _ in range(count)]


async def test_greedy_text_is_that_of_transformers(model: Path, plan: Plan) -> None:
    tokenizer = tokenizer_of("qwen")
    reference: Any = AutoModelForCausalLM.from_pretrained(model)
    prompts = ["hello world", "The quick", "東京 is 🙂", "x" * 90]
    async with connected(plan) as coordinator:
        answers = await asyncio.gather(
            *(ask_completion(coordinator, text, max_tokens=24, temperature=0, logprobs=0) for text in prompts)
        )
    for prompt, found in zip(prompts, answers, strict=True):
        ids = torch.tensor([tokenizer(prompt).input_ids])
        with torch.no_grad():
            out = reference.generate(ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=24)
        expected = out[0, ids.shape[1] :].tolist()
        assert [one["id"] for one in found.logprobs] == [t for t in expected if t != tokenizer.eos_token_id]
        assert found.content == tokenizer.decode(expected, skip_special_tokens=True)
        assert found.meta["usage"]["prompt_tokens"] == ids.shape[1]
        assert found.meta["usage"]["completion_tokens"] == len(expected)


async def test_no_delta_ends_inside_a_character(plan: Plan) -> None:
    wanted = texts(40, seed=1)
    async with connected(plan) as coordinator:
        answers = await asyncio.gather(
            *(ask_chat(coordinator, user("say it"), guided_choice=[text]) for text in wanted),
        )
    for text, found in zip(wanted, answers, strict=True):
        assert found.content == text
        assert found.reason == "stop"
        assert not any("\N{REPLACEMENT CHARACTER}" in piece.get("content", "") for piece in found.read)
        assert all(type(value) is str for value in found.values)


async def test_a_stop_string_is_never_leaked(plan: Plan) -> None:
    chance = random.Random(2)
    cases = []
    for text in texts(40, seed=3):
        start = chance.randrange(len(text))
        cases.append((text, text[start : start + chance.randint(1, 4)]))
    async with connected(plan) as coordinator:
        answers = await asyncio.gather(
            *(ask_chat(coordinator, user("x"), guided_choice=[text], stop=[stop, "never"]) for text, stop in cases)
        )
    for (text, stop), found in zip(cases, answers, strict=True):
        assert found.content == text[: text.index(stop)]
        assert found.reason == "stop"
        assert found.meta["stop_reason"] == stop


async def test_bytes_of_logprobs_add_up_to_the_text(plan: Plan) -> None:
    text = "naïve 👩‍👩‍👧 京"
    async with connected(plan) as coordinator:
        found = await ask_chat(coordinator, user("x"), guided_choice=[text], logprobs=True, top_logprobs=3)
    assert b"".join(bytes(one["bytes"] or []) for one in found.logprobs).decode() == found.content == text
    assert all(len(one["top"]) == 3 and one["logprob"] <= 0 for one in found.logprobs)


async def test_a_continued_conversation_finds_its_beginning(plan: Plan) -> None:
    first = user("Tell me of the quick brown fox and of the lazy dog, please, and do not be brief.")
    async with connected(plan) as coordinator:
        before = await ask_chat(coordinator, first, guided_choice=["They jump."])
        after = await ask_chat(coordinator, first, assistant(before.content), user("And then?"), max_tokens=4)
    usage = after.meta["usage"]
    assert before.meta["usage"]["cached_tokens"] == 0
    assert usage["cached_tokens"] >= before.meta["usage"]["prompt_tokens"] // 16 * 16 > 0
    assert usage["cached_tokens"] < usage["prompt_tokens"]


async def test_the_same_seed_says_the_same(plan: Plan) -> None:
    async with connected(plan) as coordinator:
        one, other, third = await asyncio.gather(
            *(ask_chat(coordinator, user("x"), max_tokens=16, seed=seed) for seed in (5, 5, 6))
        )
    assert one.content == other.content != third.content


async def test_echo_and_token_prompts(plan: Plan) -> None:
    tokens = tokenizer_of("qwen")("hello world").input_ids
    async with connected(plan) as coordinator:
        plain, echoed, by_token = await asyncio.gather(
            ask_completion(coordinator, "hello world", temperature=0),
            ask_completion(coordinator, "hello world", temperature=0, echo=True),
            ask_completion(coordinator, tokens, temperature=0, echo=True),
        )
    assert echoed.content == by_token.content == "hello world" + plain.content
    assert plain.meta["usage"]["completion_tokens"] == 16  # OpenAI's default for completions


async def test_ends_by_tokens(plan: Plan) -> None:
    tokenizer = tokenizer_of("qwen")
    stop = tokenizer("hello").input_ids[-1]
    end = tokenizer.eos_token_id
    async with connected(plan) as coordinator:
        stopped, ended, ignored = await asyncio.gather(
            ask_chat(coordinator, user("x"), logit_bias={str(stop): 100}, stop_token_ids=[stop], min_tokens=3),
            ask_chat(coordinator, user("x"), logit_bias={str(end): 100}),
            ask_chat(coordinator, user("x"), logit_bias={str(end): 100}, ignore_eos=True, max_tokens=5),
        )
    assert (stopped.reason, stopped.meta["stop_reason"]) == ("stop", stop)
    assert stopped.meta["usage"]["completion_tokens"] == 4
    assert (ended.reason, ended.content, ended.meta["stop_reason"]) == ("stop", "", None)
    assert (ignored.reason, ignored.content) == ("length", "")


async def test_what_does_not_fit_is_refused_in_openais_words(plan: Plan) -> None:
    async with connected(plan) as coordinator:
        long = await refusal(ask_chat(coordinator, user("hello " * CONTEXT)))
        counted = await refusal(ask_chat(coordinator, user("hello"), max_tokens=CONTEXT))
        bounded = ask_chat(coordinator, user("hello"), max_completion_tokens=4 * CONTEXT, guided_choice=["ok"])
        assert (await bounded).content == "ok"
        prompt = await refusal(ask_completion(coordinator, "hello " * CONTEXT))
    for error, param in ((long, "messages"), (counted, "messages"), (prompt, "prompt")):
        assert error.message.startswith("This model's maximum context length is 1024 tokens. However, ")
        assert (error.code, error.param) == ("context_length_exceeded", param)


async def test_what_the_template_does_not_take_is_refused(plan: Plan) -> None:
    async with connected(plan) as coordinator:
        late = await refusal(ask_chat(coordinator, user("x"), said("developer", "late")))
        variable = await refusal(ask_chat(coordinator, user("x"), chat_template_kwargs={"mood": "good"}))
        effort = await refusal(ask_chat(coordinator, user("x"), reasoning_effort="high"))
        grammar = await refusal(ask_chat(coordinator, user("x"), guided_regex="(", max_tokens=3))
    assert late.param == "messages"
    assert "System message must be at the beginning" in late.message
    assert variable.param == "chat_template_kwargs.mood"
    assert effort.param == "reasoning_effort"
    assert grammar.param == "guided_regex"


async def test_tokenizing_generates_nothing(plan: Plan) -> None:
    tokenizer = tokenizer_of("qwen")
    requests = LlmRequests()
    text = "Grüße an 👩‍👩‍👧"
    async with connected(plan) as coordinator:
        asked = requests.entry_tokenize(TokenizeRequest(text, options={"return_token_strs": True}))
        (piece,) = await answer(coordinator, asked)
        (chat,) = await answer(coordinator, requests.entry_tokenize(TokenizeRequest(messages=(user(text),))))
        (back,) = await answer(coordinator, requests.entry_detokenize(DetokenizeRequest(tuple(piece.value["tokens"]))))
        wrong = await refusal(answer(coordinator, requests.entry_detokenize(DetokenizeRequest((10**6,)))))
    assert piece.value["tokens"] == tokenizer(text).input_ids
    assert piece.value["count"] == len(piece.value["token_strs"]) == len(piece.value["tokens"])
    assert piece.value["max_model_len"] == CONTEXT
    assert piece.last
    assert str(tokenizer.decode(chat.value["tokens"])).endswith(f"{text}<|im_end|>\n<|im_start|>assistant\n")
    assert back.value == text
    assert wrong.param == "tokens"
