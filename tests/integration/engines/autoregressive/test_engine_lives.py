"""Requests in the engine: their ends, their errors, their pauses, their streams."""

import logging
import math
import time
from collections.abc import Callable
from typing import Any

import pytest
import torch
from tests.integration.engines.autoregressive.serving import (
    GREEDY,
    Driver,
    TokenProgram,
    engine_for,
    model_of,
    reference,
)
from transformers import PreTrainedModel

from omnipipe.engines.autoregressive.metrics import AutoregressiveMetrics
from omnipipe.engines.autoregressive.program import Finish, Generation, Hidden, Progress, Prompt, Sampling, Turn
from omnipipe.engines.engine import Feed
from omnipipe.engines.program import Emit, Job
from omnipipe.errors import ErrorKind, RequestError
from omnipipe.observe.metrics import Registry

PROMPT = list(range(10, 40))


@pytest.fixture(scope="module")
def model() -> PreTrainedModel:
    return model_of("qwen3")


@pytest.fixture(scope="module")
def expected() -> list[int]:
    return reference(model_of("qwen3"), PROMPT, 40)


def test_a_stop_token_ends_it_and_is_counted_but_not_shown(model: PreTrainedModel, expected: list[int]) -> None:
    stop = expected[9]
    first = expected.index(stop)
    with engine_for(TokenProgram(model)) as driver:
        answer = driver.ask("a", PROMPT, 40, stop_tokens=frozenset({stop}))
        driver.run()
        assert answer.tokens == expected[:first]
        assert answer.end is not None
        assert (answer.end.reason, answer.end.stop_token) == (Finish.STOP, stop)
        assert answer.end.completion_tokens == first + 1
        assert answer.end.prompt_tokens == len(PROMPT)
        driver.check_idle()


def test_min_tokens_holds_a_stop_token_back(model: PreTrainedModel, expected: list[int]) -> None:
    with engine_for(TokenProgram(model)) as driver:
        answer = driver.ask("a", PROMPT, 40, stop_tokens=frozenset(expected), min_tokens=7)
        driver.run()
        assert len(answer.tokens) >= 7
        assert answer.end is not None
        assert not set(answer.tokens[:7]) & set(expected)


def test_max_tokens_and_a_full_context_end_in_length(model: PreTrainedModel) -> None:
    with engine_for(TokenProgram(model), max_context=40) as driver:
        short = driver.ask("short", PROMPT, 5)
        full = driver.begin("full", Generation([Prompt(PROMPT)], sampling=GREEDY))
        driver.run()
        assert short.end is not None
        assert full.end is not None
        assert (short.end.reason, short.end.completion_tokens) == (Finish.LENGTH, 5)
        assert (full.end.reason, full.end.completion_tokens) == (Finish.LENGTH, 10)


@pytest.mark.parametrize(
    ("generation", "words"),
    [
        (Generation([Prompt(PROMPT * 2)], max_tokens=3), "maximum context length is 40 tokens"),
        (Generation([]), "empty"),
        (Generation([Prompt([5, 300])]), "token ids outside"),
        (Generation([Prompt([-1])]), "token ids outside"),
        (Generation([Prompt([1])], max_tokens=-1), "max_tokens"),
        (Generation([Prompt([1])], sampling=Sampling(logit_bias={300: 1.0})), "logit_bias"),
        (Generation([Prompt([1])], stop_tokens=frozenset({999})), "stop_token_ids"),
        (RequestError(ErrorKind.INVALID, "the program's own words"), "the program's own words"),
    ],
)
def test_what_cannot_be_done_is_said(model: PreTrainedModel, generation: Generation | Exception, words: str) -> None:
    with engine_for(TokenProgram(model), max_context=40) as driver:
        wrong = driver.begin("wrong", generation)
        right = driver.ask("right", PROMPT[:8], 4)
        driver.run()
        assert wrong.error is not None
        assert wrong.error.kind is ErrorKind.INVALID
        assert words in wrong.error.message
        assert len(right.tokens) == 4
        driver.check_idle()


def test_a_seed_gives_the_same_in_any_company(model: PreTrainedModel) -> None:
    sampling = Sampling(temperature=1.2, top_p=0.9, presence_penalty=0.4, seed=42)
    with engine_for(TokenProgram(model), prefix_cache=False) as driver:
        alone = driver.ask("alone", PROMPT, 30, sampling=sampling)
        driver.run()
        for n in range(5):
            driver.ask(f"beside {n}", PROMPT[n:], 20, sampling=Sampling(temperature=0.9))
            driver.step()
        beside = driver.ask("again", PROMPT, 30, sampling=sampling)
        other = driver.ask("other", PROMPT, 30, sampling=Sampling(temperature=1.2, seed=43))
        driver.run()
        assert beside.tokens == alone.tokens
        assert other.tokens != alone.tokens


def test_a_paused_request_emits_nothing_and_goes_on_where_it_was(model: PreTrainedModel, expected: list[int]) -> None:
    with engine_for(TokenProgram(model)) as driver:
        answer = driver.ask("a", PROMPT, 40)
        for _ in range(5):
            driver.step()
        driver.pause("a")
        held = driver.engine.pool.held
        driver.ask("b", PROMPT[:5], 10)
        driver.run()
        assert len(answer.tokens) == 5
        assert driver.engine.pool.held == held
        assert driver.engine.next_step(0.0) is None
        driver.resume("a")
        driver.run()
        assert answer.tokens == expected


def test_a_dropped_request_leaves_nothing(model: PreTrainedModel) -> None:
    with engine_for(TokenProgram(model), step_tokens=8) as driver:
        for n, steps in enumerate((0, 1, 3, 9)):
            driver.ask(str(n), PROMPT, 40)
            for _ in range(steps):
                driver.step()
            driver.drop(str(n))
        driver.drop("never heard of")
        driver.run()
        driver.check_idle()


def test_a_deadline_ends_a_request(model: PreTrainedModel) -> None:
    with engine_for(TokenProgram(model)) as driver:
        late = driver.begin("late", Generation([Prompt(PROMPT)]), deadline=time.monotonic() - 1)
        in_time = driver.ask("in time", PROMPT, 4)
        driver.run()
        assert late.error is not None
        assert late.error.kind is ErrorKind.DEADLINE
        assert len(in_time.tokens) == 4


def test_an_exception_in_the_program_ends_that_request(model: PreTrainedModel, expected: list[int]) -> None:
    program = TokenProgram(model)

    def advance(job: Job, progress: Progress) -> Turn:
        if job.rid == "bad":
            raise ValueError("a secret")
        return Turn()

    program.on_advance = advance
    with engine_for(program) as driver:
        bad = driver.ask("bad", PROMPT, 40)
        good = driver.ask("good", PROMPT, 40)
        driver.run()
        assert bad.error is not None
        assert bad.error.kind is ErrorKind.INTERNAL
        assert "secret" not in bad.error.message
        assert good.tokens == expected
        driver.check_idle()


class Broken:
    """Makes a model's forward do something else for a while."""

    def __init__(self, driver: Driver, what: Callable[[list[Any]], None]) -> None:
        runner: Any = driver.engine._runner
        forward = runner.forward

        def broken(slices: list[Any], *, hidden: bool = False) -> Any:
            what(slices)
            return forward(slices, hidden=hidden)

        runner.forward = broken


def test_an_exception_in_the_model_ends_the_requests_of_that_step(
    model: PreTrainedModel, expected: list[int], caplog: pytest.LogCaptureFixture
) -> None:
    with engine_for(TokenProgram(model)) as driver:
        steps = iter(range(1000))

        def fail(slices: list[Any]) -> None:
            if next(steps) == 2:
                raise RuntimeError("the kernel is broken")

        Broken(driver, fail)
        ended = [driver.ask(str(n), PROMPT, 40) for n in range(3)]
        for _ in range(3):
            driver.step()
        later = driver.ask("later", PROMPT, 40)
        with caplog.at_level(logging.ERROR):
            driver.run()
        assert all(answer.error is not None and answer.error.kind is ErrorKind.INTERNAL for answer in ended)
        assert later.tokens == expected
        driver.check_idle()


@pytest.mark.parametrize("room", [1, 3, 20])
def test_out_of_memory_makes_steps_smaller(model: PreTrainedModel, expected: list[int], room: int) -> None:
    with engine_for(TokenProgram(model), prefix_cache=False) as driver:

        def fail(slices: list[Any]) -> None:
            if sum(piece.size for piece in slices) > room:
                raise torch.OutOfMemoryError("no room")

        Broken(driver, fail)
        answers = [driver.ask(str(n), PROMPT, 40) for n in range(4)]
        driver.run()
        assert [answer.tokens for answer in answers] == [expected] * 4
        driver.check_idle()


def test_what_never_fits_into_memory_ends_in_words(model: PreTrainedModel) -> None:
    with engine_for(TokenProgram(model)) as driver:

        def fail(slices: list[Any]) -> None:
            raise torch.OutOfMemoryError("no room")

        Broken(driver, fail)
        answer = driver.ask("a", PROMPT, 40)
        driver.run()
        assert answer.error is not None
        assert answer.error.kind is ErrorKind.UNAVAILABLE
        driver.check_idle()


def test_what_is_no_number_ends_alone_and_taints_nobody(model: PreTrainedModel, expected: list[int]) -> None:
    poison = torch.full((20, 64), math.nan)
    with engine_for(TokenProgram(model), kv_bytes=60_000) as driver:
        good = driver.ask("good", PROMPT, 40)
        for _ in range(3):
            bad = driver.begin("bad", Generation([Prompt(embeds=poison, key=b"x")], max_tokens=9))
            driver.step()
            driver.step()
            assert bad.error is not None
            assert bad.error.kind is ErrorKind.INTERNAL
        later = driver.ask("later", PROMPT[:-1], 20)
        driver.run()
        assert good.tokens == expected
        assert later.tokens == reference(model_of("qwen3"), PROMPT[:-1], 20)
        driver.check_idle()


def test_hidden_states_are_the_models_own(model: PreTrainedModel, expected: list[int]) -> None:
    program = TokenProgram(model, hidden_layers=(0, 1, -1))
    fresh = model_of("qwen3")
    with torch.no_grad():
        states = fresh(torch.tensor([PROMPT + expected[:11]]), output_hidden_states=True).hidden_states
    with engine_for(program, step_tokens=8, kv_bytes=6 << 13, max_context=64) as driver:
        asked = [
            driver.begin(f"{hidden} {n}", Generation([Prompt(PROMPT)], max_tokens=12, sampling=GREEDY, hidden=hidden))
            for n in range(2)
            for hidden in (Hidden.ALL, Hidden.GENERATED, Hidden.NONE)
        ]
        driver.run()
        assert driver.engine.scheduler.preemptions > 0
        for answer, first in zip(asked, [0, len(PROMPT) - 1, None] * 2, strict=True):
            assert answer.tokens == expected[:12]
            if first is None:
                assert not answer.hidden
                continue
            for layer in (0, 1, -1):
                torch.testing.assert_close(answer.states(layer), states[layer][0, first:], atol=1e-3, rtol=1e-3)


def test_what_is_said_as_a_request_begins_leaves_before_the_model_computes(
    model: PreTrainedModel, expected: list[int]
) -> None:
    with engine_for(TokenProgram(model)) as driver:
        beside = driver.ask("beside", PROMPT, 40)
        driver.step()
        answers = []
        for number in range(4):
            emits = [Emit("tokens", Progress(()))]
            generation = Generation([Prompt(PROMPT)], max_tokens=40, sampling=GREEDY, emits=emits)
            answers.append(driver.begin(f"{number}", generation))
            before = len(beside.tokens)
            driver.step()
            assert answers[-1].steps == 1 + number % 2, "of two steps one computes, whatever begins"
            assert len(beside.tokens) - before == number % 2
        driver.run()
        assert all(answer.tokens == expected for answer in (beside, *answers))
        driver.check_idle()


def test_stream_input_grows_the_prompt_while_it_is_held(model: PreTrainedModel, expected: list[int]) -> None:
    program = TokenProgram(model)

    def feed(job: Job) -> Turn:
        return Turn(append=[Prompt(ids) for ids in job.chunks["words"]], hold=job.ended != {"words"})

    program.on_feed = feed
    with engine_for(program, step_tokens=8) as driver:
        generation = Generation([Prompt(PROMPT[:7])], max_tokens=40, sampling=GREEDY, hold=True)
        answer = driver.begin("a", generation, streams=["words"])
        beside = driver.ask("b", PROMPT, 40)
        for at in range(7, len(PROMPT), 5):
            driver.step()
            assert not answer.tokens
            driver.offer(Feed("a", "words", PROMPT[at : at + 5], at + 5 >= len(PROMPT)))
        driver.run()
        assert answer.tokens == beside.tokens == expected
        assert answer.consumed == 5
        assert answer.end is not None
        assert answer.end.prompt_tokens == len(PROMPT)


def test_a_talker_replaces_what_the_model_sees_of_its_newest_token(model: PreTrainedModel) -> None:
    """Each step waits for a chunk and adds it to the embedding of the token; the same by hand with the model alone."""
    fresh = model_of("qwen3")
    table = fresh.get_input_embeddings()
    extra = [torch.randn(64, generator=torch.Generator().manual_seed(n)) for n in range(6)]
    inputs = table(torch.tensor(PROMPT))
    by_hand: list[int] = []
    with torch.no_grad():
        for more in extra:
            token = int(fresh(inputs_embeds=inputs[None]).logits[0, -1].argmax())
            by_hand.append(token)
            inputs = torch.cat([inputs, (table(torch.tensor([token])) + more)])

    program = TokenProgram(model)
    program.on_advance = lambda job, progress: Turn(hold=True)

    def feed(job: Job) -> Turn:
        (more,) = job.chunks["thoughts"]
        return Turn(embed=table(torch.tensor(program_tokens[-1])) + more)

    program.on_feed = feed
    with engine_for(program, kv_bytes=40_000) as driver:
        answer = driver.begin("a", Generation([Prompt(PROMPT)], max_tokens=6, sampling=GREEDY), streams=["thoughts"])
        program_tokens = answer.tokens
        for number, more in enumerate(extra[:-1]):
            driver.run()
            assert len(answer.tokens) == number + 1
            driver.offer(Feed("a", "thoughts", more, number == 4))
        driver.run()
        assert answer.tokens == by_hand
        driver.check_idle()


def test_the_program_ends_it_when_it_likes(model: PreTrainedModel, expected: list[int]) -> None:
    program = TokenProgram(model)
    program.on_advance = lambda job, progress: Turn(finish="tool_calls" if progress.tokens[0] == expected[3] else None)
    with engine_for(program) as driver:
        answer = driver.ask("a", PROMPT, 40)
        driver.run()
        assert answer.end is not None
        assert answer.end.reason == "tool_calls"
        assert answer.tokens == expected[: expected.index(expected[3]) + 1]


def test_metrics_say_what_happened(model: PreTrainedModel) -> None:
    registry = Registry(process=False)
    metrics = AutoregressiveMetrics(registry, namespace="n", pipeline="p", stage="s", revision="r")
    with engine_for(TokenProgram(model), metrics=metrics) as driver:
        for n in range(2):
            driver.ask(str(n), PROMPT, 10)
            driver.run()
    assert metrics.tokens.value == 20
    assert metrics.hit_tokens.value == 16
    assert metrics.asked_tokens.value == 60
    assert metrics.positions.value == 60 - 16 + 18
    assert metrics.blocks_held.value == 0
    assert b"omnipipe_autoregressive_kv_blocks{" in registry.render()
