"""Greedy answers equal those of transformers' own generate, whatever else is in the batch.

The order of additions inside a matrix product depends on how many rows it has, so the last bits of a logit may differ
between a batch and a request alone. Where a token differs, the test shows that the reference itself was undecided: its
two likeliest tokens lie closer than `UNDECIDED`, and up to there all agreed. `test_logits` compares the numbers.
"""

import copy
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
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
from transformers import PreTrainedModel

from omnipipe.engines.autoregressive.program import Generation, Prompt, Sampling
from omnipipe.engines.kernels.native import NativeKernels

BUILD_S = 240.0
UNDECIDED = 1e-3
NEW = 24
LENGTHS = (1, 3, 17, 40, 63, 64, 5, 33)

Case = tuple[str, PreTrainedModel, list[list[int]], list[list[int]]]


@dataclass(frozen=True)
class How:
    kernel: NativeKernels | None
    fused: bool
    drafts: bool


@pytest.fixture(
    scope="module",
    autouse=True,
    params=["torch", "torch, drafted", "native", "native, drafted", "fused", "fused, drafted"],
)
def how(request: pytest.FixtureRequest) -> How:
    """Everything here holds with plain torch operations, with the kernel for attention and with whole layers in the
    kernel; with a draft model and without."""
    drafts, fused = "drafted" in request.param, "fused" in request.param
    if "torch" in request.param:
        return How(None, fused, drafts)
    if shutil.which("g++") is None:
        pytest.skip("no g++ on this machine")
    built = NativeKernels()
    built.start()
    assert built.wait(BUILD_S)
    return How(built, fused, drafts)


@pytest.fixture(scope="module", params=sorted(CONFIGS))
def case(request: pytest.FixtureRequest) -> Case:
    """A model, prompts of all sorts of lengths, and what generate says to each alone."""
    generator = torch.Generator().manual_seed(1)
    prompts = [torch.randint(2, 300, (size,), generator=generator).tolist() for size in LENGTHS]
    model = model_of(request.param)
    return request.param, model, prompts, [reference(model, prompt, NEW) for prompt in prompts]


@contextmanager
def opened(case: Case, how: How, **options: Any) -> Iterator[Driver]:
    draft = cousin_of(case[0]) if how.drafts else None
    model = copy.deepcopy(case[1])  # an engine makes the model its own: its layers are replaced
    with engine_for(TokenProgram(model), how.kernel, draft, fused_layers=how.fused, **options) as driver:
        yield driver
        if driver.engine.speculation is not None:
            assert driver.engine.speculation.accepted > 0


def agree(case: Case, index: int, answer: Answer) -> None:
    name, _, prompts, expected = case
    assert answer.error is None
    assert len(answer.tokens) == NEW
    at = next((at for at in range(NEW) if answer.tokens[at] != expected[index][at]), None)
    if at is None:
        return
    model = model_of(name)
    with torch.no_grad():
        logits = model(torch.tensor([prompts[index] + expected[index][:at]])).logits[0, -1]
    first, second = logits.topk(2).values.tolist()
    assert first - second < UNDECIDED, f"{name}: token {at} of prompt {index} differs and the reference was sure"
    assert logits[answer.tokens[at]] > first - UNDECIDED


def test_alone(case: Case, how: How) -> None:
    with opened(case, how, prefix_cache=False) as driver:
        for index, prompt in enumerate(case[2]):
            answer = driver.ask(str(index), prompt, NEW)
            driver.run()
            agree(case, index, answer)


@pytest.mark.parametrize("step_tokens", [8, 23, 256])
def test_in_a_ragged_batch_and_in_chunks(case: Case, how: How, step_tokens: int) -> None:
    with opened(case, how, step_tokens=step_tokens) as driver:
        answers = [driver.ask(str(index), prompt, NEW) for index, prompt in enumerate(case[2])]
        driver.run()
        for index, answer in enumerate(answers):
            agree(case, index, answer)
        driver.check_idle()


def test_arriving_one_after_the_other_beside_sampled_ones(case: Case, how: How) -> None:
    with opened(case, how, step_tokens=32) as driver:
        answers = []
        for index, prompt in enumerate(case[2]):
            answers.append(driver.ask(str(index), prompt, NEW))
            noisy = Sampling(temperature=1.5, top_p=0.9, frequency_penalty=0.5)
            driver.ask(f"noise {index}", prompt[::-1], 9, sampling=noisy)
            for _ in range(3):
                driver.step()
        driver.run()
        for index, answer in enumerate(answers):
            agree(case, index, answer)


def test_with_preemption(case: Case, how: How) -> None:
    """Memory for 160 positions and 418 to hold: those that run are thrown out and come back."""
    with opened(case, how, prefix_cache=False, max_context=100) as driver:
        pool = driver.engine.pool
        hogs = pool.take(pool.count - 10)
        check = pool.check
        pool.check = lambda held: check([*held, hogs])  # type: ignore[method-assign]
        answers = [driver.ask(str(index), prompt, NEW) for index, prompt in enumerate(case[2])]
        driver.run()
        assert driver.engine.scheduler.preemptions > 0
        for index, answer in enumerate(answers):
            agree(case, index, answer)
        pool.release(hogs)
        pool.check = check  # type: ignore[method-assign]
        driver.check_idle()


def test_with_a_shared_prefix(case: Case, how: How) -> None:
    with opened(case, how) as driver:
        for index in (3, 4, 5):
            agree(case, index, asked(driver, f"first {index}", case[2][index]))
            again = asked(driver, f"again {index}", case[2][index])
            agree(case, index, again)
            assert again.end is not None
            assert again.end.cached_tokens == (len(case[2][index]) - 1) // 16 * 16


def test_several_of_one_prompt_in_one_moment_compute_it_once(case: Case, how: How) -> None:
    with opened(case, how, step_tokens=24) as driver:
        answers = [driver.ask(str(n), case[2][5], NEW) for n in range(4)]
        driver.run()
        for answer in answers:
            agree(case, 5, answer)
        assert driver.engine.scheduler.hit_tokens >= 3 * 48 - 64  # those that wait for the first find its blocks


def test_input_embeddings_are_as_good_as_tokens(case: Case, how: How) -> None:
    model, prompt = case[1], case[2][3]
    with torch.no_grad():
        embeds = model.get_input_embeddings()(torch.tensor(prompt))
    with opened(case, how, step_tokens=16) as driver:
        mixed = [Prompt(prompt[:5]), Prompt(embeds=embeds[5:30]), Prompt(prompt[30:])]
        answer = driver.begin("mixed", Generation(mixed, max_tokens=NEW, sampling=GREEDY))
        driver.ask("other", case[2][1], NEW)
        driver.run()
        agree(case, 3, answer)


def test_logits(case: Case, how: How) -> None:
    """Teacher forced: log probabilities of every token that was chosen, against one pass of the reference."""
    name, _, prompts, _ = case
    sampling = Sampling(temperature=1.0, seed=5, logprobs=2)
    with opened(case, how, step_tokens=23) as driver:
        answers = [driver.ask(str(n), prompt, NEW, sampling=sampling) for n, prompt in enumerate(prompts)]
        driver.run()
    fresh = model_of(name)
    for prompt, answer in zip(prompts, answers, strict=True):
        with torch.no_grad():
            logits = fresh(torch.tensor([prompt + answer.tokens])).logits[0, len(prompt) - 1 : -1]
        expected = logits.log_softmax(-1)[range(NEW), answer.tokens]
        found = torch.tensor([found.chosen.logprob for found in answer.logprobs])
        torch.testing.assert_close(found, expected, atol=1e-3, rtol=1e-3)
        top = torch.tensor([found.top[0].logprob for found in answer.logprobs])
        torch.testing.assert_close(top, logits.log_softmax(-1).max(-1).values, atol=1e-3, rtol=1e-3)


def asked(driver: Driver, rid: str, prompt: list[int]) -> Answer:
    answer = driver.ask(rid, prompt, NEW)
    driver.run()
    return answer
