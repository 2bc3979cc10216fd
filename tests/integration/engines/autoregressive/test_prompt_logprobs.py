"""How likely a prompt was is what transformers' own logits say, whatever else is in the batch.

Teacher forced on one pass of the reference. Nothing may be taken for granted because its KV is there already: logits
are kept by nobody.
"""

import shutil
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
import torch
from tests.integration.engines.autoregressive.models import CONFIGS
from tests.integration.engines.autoregressive.serving import (
    GREEDY,
    Answer,
    Driver,
    TokenProgram,
    cousin_of,
    engine_for,
    model_of,
    reference,
)
from tests.integration.engines.autoregressive.test_parity import BUILD_S
from transformers import PreTrainedModel

from omnipipe.engines.autoregressive.program import Generation, Prompt, Sampling
from omnipipe.engines.kernels.native import NativeKernels
from omnipipe.errors import ErrorKind

NAMES = sorted([*CONFIGS, "cohere2", "deepseek_v3", "gpt_oss", "granite", "mixtral", "olmo2", "opt"])
"""Among them those that scale or squash their logits."""
LENGTHS = (1, 2, 17, 40, 64, 33)
TOP = 3
CLOSE: Any = {"atol": 1e-3, "rtol": 1e-3}


@pytest.fixture(scope="module", params=["torch", "native"])
def kernel(request: pytest.FixtureRequest) -> Iterator[NativeKernels | None]:
    if request.param == "torch":
        yield None
        return
    if shutil.which("g++") is None:
        pytest.skip("no g++ on this machine")
    built = NativeKernels()
    built.start()
    assert built.wait(BUILD_S)
    yield built


@pytest.fixture
def prompts() -> list[list[int]]:
    generator = torch.Generator().manual_seed(2)
    return [torch.randint(2, 300, (size,), generator=generator).tolist() for size in LENGTHS]


def expected(name: str, prompt: Sequence[int]) -> torch.Tensor:
    """`[positions - 1, vocabulary]`: log probabilities, by a model of its own that never saw our attention."""
    with torch.no_grad():
        logits: torch.Tensor = model_of(name)(torch.tensor([list(prompt)])).logits[0, :-1]
    return logits.float().log_softmax(-1)


def agree(name: str, prompt: Sequence[int], answer: Answer, top: int = TOP) -> None:
    assert answer.error is None
    assert [found.chosen.token for found in answer.prompt] == list(prompt[1:])
    if len(prompt) == 1:
        return
    want = expected(name, prompt)
    found = torch.tensor([found.chosen.logprob for found in answer.prompt])
    torch.testing.assert_close(found, want[range(len(prompt) - 1), prompt[1:]], **CLOSE)
    best, columns = want.topk(max(top, 1), dim=-1)
    for row, one in enumerate(answer.prompt):
        assert len(one.top) == top
        values = torch.tensor([choice.logprob for choice in one.top])
        torch.testing.assert_close(values, best[row][:top], **CLOSE)
        same = torch.tensor([want[row][choice.token] for choice in one.top])
        torch.testing.assert_close(values, same, **CLOSE)  # the tokens are such as weigh so much
    assert columns.shape[0] == len(answer.prompt)


def asked(driver: Driver, rid: str, prompt: Sequence[int], count: int = 4, top: int = TOP) -> Answer:
    sampling = Sampling(temperature=0.0, logprobs=top)
    return driver.ask(rid, prompt, count, sampling=sampling, prompt_logprobs=top)


@pytest.mark.parametrize("name", NAMES)
def test_in_chunks_beside_others(name: str, kernel: NativeKernels | None, prompts: list[list[int]]) -> None:
    """Chunks of prompts whose logits are asked for, of others, and tokens, in one step."""
    model = model_of(name)
    with engine_for(TokenProgram(model), kernel, step_tokens=23) as driver:
        answers = []
        for index, prompt in enumerate(prompts):
            answers.append(asked(driver, str(index), prompt, count=index % 3))
            driver.ask(f"noise {index}", prompt[::-1], 9, sampling=Sampling(temperature=1.5, top_p=0.9))
            driver.step()
        driver.run()
        driver.check_idle()
    for index, (prompt, answer) in enumerate(zip(prompts, answers, strict=True)):
        agree(name, prompt, answer)
        assert answer.tokens == reference(model_of(name), prompt, 2)[: index % 3]
        assert answer.end is not None
        assert (answer.end.reason, answer.end.prompt_tokens) == ("length", len(prompt))
        assert answer.end.completion_tokens == index % 3


def test_what_is_in_the_prefix_cache_is_computed_again(prompts: list[list[int]]) -> None:
    with engine_for(TokenProgram(model_of("qwen3"))) as driver:
        plain = driver.ask("plain", prompts[4], 4)
        driver.run()
        answers = [asked(driver, f"{turn}", prompts[4], top=turn) for turn in range(3)]
        driver.run()
        after = driver.ask("after", prompts[4], 4)
        driver.run()
    for top, answer in enumerate(answers):
        agree("qwen3", prompts[4], answer, top)
        assert answer.end is not None
        assert answer.end.cached_tokens == 0
        assert answer.tokens == plain.tokens == after.tokens
    assert after.end is not None
    assert after.end.cached_tokens == 48  # what they computed is there for others


@pytest.mark.parametrize("drafts", [False, True], ids=["plain", "drafted"])
def test_with_preemption(prompts: list[list[int]], drafts: bool) -> None:
    """Some are thrown out with half of their prompt told, some with all of it."""
    draft = cousin_of("gemma3") if drafts else None
    with engine_for(TokenProgram(model_of("gemma3")), draft=draft, max_context=100, step_tokens=12) as driver:
        pool = driver.engine.pool
        hogs = pool.take(pool.count - 8)
        check = pool.check
        pool.check = lambda held: check([*held, hogs])  # type: ignore[method-assign]
        answers = [asked(driver, str(index), prompt, 24) for index, prompt in enumerate(prompts)]
        driver.run()
        assert driver.engine.scheduler.preemptions > 0
        pool.release(hogs)
        pool.check = check  # type: ignore[method-assign]
        driver.check_idle()
    for prompt, answer in zip(prompts, answers, strict=True):
        agree("gemma3", prompt, answer)
        assert len(answer.tokens) == 24


def test_a_step_holds_few_logits(prompts: list[list[int]], monkeypatch: pytest.MonkeyPatch) -> None:
    """However long prompts are and however many there are at once; the others' prompts go on beside them."""
    monkeypatch.setattr("omnipipe.engines.autoregressive.engine.rows_at_once", lambda vocab_size: 10)
    with engine_for(TokenProgram(model_of("llama")), step_tokens=200) as driver:
        forward, rows = driver.engine._runner.forward, []

        def watched(*args: object, **kwargs: object) -> object:
            output = forward(*args, **kwargs)  # type: ignore[arg-type]
            rows.append(0 if output.scored is None else len(output.scored))
            return output

        monkeypatch.setattr(driver.engine._runner, "forward", watched)
        answers = [asked(driver, str(index), prompt, 2) for index, prompt in enumerate(prompts)]
        other = driver.ask("other", prompts[4][::-1], 2)
        driver.step()
        assert len(other.tokens) == 1
        driver.run()
        driver.check_idle()
    assert max(rows) == 10
    assert sum(rows) == sum(LENGTHS) - len(LENGTHS)
    for prompt, answer in zip(prompts, answers, strict=True):
        agree("llama", prompt, answer)


def test_a_prompt_that_fills_the_context_can_be_told(prompts: list[list[int]]) -> None:
    with engine_for(TokenProgram(model_of("llama")), max_context=64, step_tokens=16) as driver:
        whole = asked(driver, "whole", prompts[4], 0)
        beyond = asked(driver, "beyond", [*prompts[4], 5], 0)
        driver.run()
        driver.check_idle()
    agree("llama", prompts[4], whole)
    assert beyond.error is not None
    assert beyond.error.code == "context_length_exceeded"


def test_no_numbers_end_the_one_request(prompts: list[list[int]]) -> None:
    model: PreTrainedModel = model_of("llama")
    bad = 299
    with torch.no_grad():
        model.get_input_embeddings().weight[bad] = float("nan")  # type: ignore[operator]
    with engine_for(TokenProgram(model)) as driver:
        lost = asked(driver, "lost", [*prompts[2], bad, *prompts[2]], 0)
        fine = asked(driver, "fine", prompts[2], 0)
        driver.run()
        driver.check_idle()
    assert lost.error is not None
    assert lost.error.kind is ErrorKind.INTERNAL
    agree("llama", prompts[2], fine)


def test_of_embeddings_nothing_can_be_told() -> None:
    with engine_for(TokenProgram(model_of("llama"))) as driver:
        answer = driver.begin(
            "embeds", Generation([Prompt(embeds=torch.zeros(3, 64))], max_tokens=1, sampling=GREEDY, prompt_logprobs=1)
        )
        driver.run()
        driver.check_idle()
    assert answer.error is not None
