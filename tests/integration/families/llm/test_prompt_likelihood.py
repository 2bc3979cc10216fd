"""What evaluation harnesses ask of /v1/completions: how likely each token of a prompt is, by OpenAI's own client,
against transformers' own logits."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from openai import BadRequestError, OpenAI
from openai.types import CompletionChoice
from tests.integration.local.served import Served
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers.utils.logging import disable_progress_bar

from omnipipe.weights import resolve

pytestmark = pytest.mark.timeout(400)  # torch and transformers are imported by a process of its own

START_S = 240.0
"""torch and transformers are imported, on a busy machine."""
EXAMPLE = Path(__file__).parents[4] / "examples" / "chat.yaml"
CLOSE: Any = {"atol": 2e-3, "rtol": 1e-3}
TEXTS = ("hello world", "Sort: 31, 4, 17", "naïve 🙂 東京", "a")


class Reference:
    def __init__(self) -> None:
        disable_progress_bar()  # type: ignore[no-untyped-call]  # it would leave a thread and a semaphore behind
        folder = resolve("builtin://tiny-chat")
        make: Any = AutoModelForCausalLM
        self.model = make.from_pretrained(folder, dtype=torch.float32).eval()
        self.tokenizer: Any = AutoTokenizer.from_pretrained(folder)

    def encode(self, text: str) -> list[int]:
        tokens: list[int] = self.tokenizer(text).input_ids
        return tokens

    def logprobs(self, tokens: Sequence[int]) -> torch.Tensor:
        """`[positions - 1, vocabulary]`."""
        with torch.no_grad():
            logits: torch.Tensor = self.model(torch.tensor([list(tokens)])).logits[0, :-1]
        return logits.log_softmax(-1)


@pytest.fixture(scope="module")
def reference() -> Reference:
    return Reference()


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("logs")
    cache = {"TORCHINDUCTOR_CACHE_DIR": str(folder / "inductor")}  # torch makes it whether it compiles or not
    with Served(folder, EXAMPLE, "--port", "0", env=cache) as served:
        served.wait_until_ready(START_S)
        yield served


@pytest.fixture
def client(served: Served) -> Iterator[OpenAI]:
    with served.client() as client:
        yield client.with_options(max_retries=5)  # a machine with more to do than it can makes replicas look dead


def check(reference: Reference, choice: CompletionChoice, tokens: Sequence[int], top: int, text: str) -> None:
    """`text`: of the prompt; `tokens`: of all."""
    found = choice.logprobs
    assert found is not None
    assert found.tokens is not None
    assert found.token_logprobs is not None
    assert found.top_logprobs is not None
    assert found.text_offset is not None
    sizes = {len(found.tokens), len(found.token_logprobs), len(found.top_logprobs), len(found.text_offset)}
    assert sizes == {len(tokens)}
    firsts: list[Any] = [found.token_logprobs[0], found.top_logprobs[0]]  # not typed as they can be
    assert firsts == [None, None]
    assert choice.text.startswith(text)
    if len(tokens) == 1:
        return
    want = reference.logprobs(tokens)
    torch.testing.assert_close(
        torch.tensor(found.token_logprobs[1:]), want[range(len(tokens) - 1), list(tokens[1:])], **CLOSE
    )
    for row, (likeliest, name) in enumerate(zip(found.top_logprobs[1:], found.tokens[1:], strict=True)):
        assert top <= len(likeliest) <= top + 1 or any(key.startswith("bytes:") for key in likeliest)
        assert likeliest[name] == found.token_logprobs[row + 1]
        if top:
            torch.testing.assert_close(torch.tensor(max(likeliest.values())), want[row].max(), **CLOSE)
    ends = [*found.text_offset[1:], len(choice.text)]
    for name, start, end in zip(found.tokens, found.text_offset, ends, strict=True):
        if not name.startswith("bytes:") and name != "<|im_end|>":
            assert choice.text[start:end] == name


def test_as_harnesses_ask(client: OpenAI, reference: Reference) -> None:
    """A batch of token ids, one token more, greedily. Twice: the second time all of it is in the prefix cache."""
    prompts = [reference.encode(text) for text in TEXTS] + [reference.encode("one two three " * 40)]
    for _ in range(2):
        done = client.completions.create(
            model="chat", prompt=prompts, max_tokens=1, temperature=0, logprobs=1, seed=1234, echo=True
        )
        assert [choice.index for choice in done.choices] == list(range(len(prompts)))
        for choice, prompt in zip(done.choices, prompts, strict=True):
            following = int(reference.model(torch.tensor([prompt])).logits[0, -1].argmax())
            check(reference, choice, [*prompt, following], 1, reference.tokenizer.decode(prompt))
        assert done.usage is not None
        assert done.usage.prompt_tokens == sum(map(len, prompts))
        assert done.usage.completion_tokens == len(prompts)


@pytest.mark.parametrize("top", [0, 5])
def test_nothing_is_generated(client: OpenAI, reference: Reference, top: int) -> None:
    done = client.completions.create(model="chat", prompt=list(TEXTS), max_tokens=0, logprobs=top, echo=True)
    for choice, text in zip(done.choices, TEXTS, strict=True):
        assert (choice.text, choice.finish_reason) == (text, "length")
        check(reference, choice, reference.encode(text), top, text)
    assert done.usage is not None
    assert done.usage.completion_tokens == 0
    bare = client.completions.create(model="chat", prompt="hello", max_tokens=0)
    assert (bare.choices[0].text, bare.choices[0].finish_reason, bare.choices[0].logprobs) == ("", "length", None)
    echoed = client.completions.create(model="chat", prompt="hello", max_tokens=0, echo=True)
    assert (echoed.choices[0].text, echoed.choices[0].logprobs) == ("hello", None)


def test_the_token_that_ends_it_counts_as_well(client: OpenAI, reference: Reference) -> None:
    """Harnesses leave out the last item, which must not be the prompt's."""
    end = reference.tokenizer.eos_token_id
    done = client.completions.create(
        model="chat", prompt="hello", max_tokens=4, logprobs=1, echo=True, logit_bias={str(end): 100}
    )
    (choice,) = done.choices
    assert (choice.text, choice.finish_reason) == ("hello", "stop")
    check(reference, choice, [*reference.encode("hello"), end], 1, "hello")


def test_a_stream_says_the_same(client: OpenAI) -> None:
    asked: dict[str, Any] = {
        "model": "chat", "prompt": [TEXTS[2], TEXTS[3]], "max_tokens": 6, "temperature": 0, "logprobs": 2, "echo": True,
    }  # fmt: skip
    whole = client.completions.create(**asked)
    joined: list[dict[str, Any]] = [
        {"text": "", "tokens": [], "token_logprobs": [], "top_logprobs": [], "text_offset": []} for _ in range(2)
    ]
    with client.completions.create(**asked, stream=True) as chunks:
        for chunk in chunks:
            (choice,) = chunk.choices
            said = joined[choice.index]
            said["text"] += choice.text
            if choice.logprobs is not None:
                for name, items in choice.logprobs.to_dict().items():
                    said[name] += items
    for choice in whole.choices:
        said = joined[choice.index]
        assert said.pop("text") == choice.text
        assert choice.logprobs is not None
        expected = choice.logprobs.to_dict()
        assert said["tokens"] == expected["tokens"]
        assert said["text_offset"] == expected["text_offset"]
        assert said["token_logprobs"][1:] == pytest.approx(expected["token_logprobs"][1:], abs=1e-3)


def test_several_choices_share_the_shape(client: OpenAI, reference: Reference) -> None:
    done = client.completions.create(
        model="chat", prompt="hello world", n=2, max_tokens=2, logprobs=1, echo=True, temperature=1.5, seed=3
    )
    assert len(done.choices) == 2
    for choice in done.choices:
        assert choice.logprobs is not None
        assert choice.logprobs.token_logprobs is not None
        size = len(reference.encode("hello world"))
        assert len(choice.logprobs.token_logprobs) >= size + 1
        assert choice.text.startswith("hello world")


def test_what_cannot_be_told_is_refused(client: OpenAI) -> None:
    for wrong, param in (
        ({"logprobs": 6}, "logprobs"), ({"max_tokens": -1}, "max_tokens"), ({"min_tokens": 1}, "min_tokens"),
    ):  # fmt: skip
        with pytest.raises(BadRequestError) as caught:
            client.post(
                "/completions",
                body={"model": "chat", "prompt": "x", "echo": True, "logprobs": 1, "max_tokens": 0, **wrong},
                cast_to=object,
            )
        assert caught.value.param == param
