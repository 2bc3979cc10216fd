"""With a draft model every answer is what it is without, whatever the draft guesses and whoever else is there.

Parity with transformers' own generate, drafted, is in `test_parity`; here what guessing could get wrong beside it.
"""

import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch
from tests.integration.engines.autoregressive.serving import (
    GREEDY,
    Answer,
    Driver,
    TokenProgram,
    cousin_of,
    engine_for,
    model_of,
)
from tests.integration.engines.autoregressive.tokenizing import END, byte_tokenizer
from transformers import AutoModelForCausalLM, PreTrainedModel, PreTrainedTokenizerFast, Qwen3Config

from omnipipe.engines.autoregressive.draft import Draft
from omnipipe.engines.autoregressive.errors import EngineError
from omnipipe.engines.autoregressive.metrics import AutoregressiveMetrics
from omnipipe.engines.autoregressive.program import Finish, Generation, Grammar, Hidden, Prompt, Sampling, Turn
from omnipipe.engines.autoregressive.speculation import Speculation
from omnipipe.engines.engine import Feed
from omnipipe.engines.program import Job
from omnipipe.observe.metrics import Registry

PROMPT = list(range(10, 40))
UNLIKE = {"twin": 0.0, "cousin": 0.02, "stranger": 1.0}


@pytest.fixture(scope="module")
def model() -> PreTrainedModel:
    model = model_of("qwen3", seed=4)
    assert model.generation_config is not None
    model.generation_config.eos_token_id = END
    return model


@pytest.fixture(params=sorted(UNLIKE))
def draft(request: pytest.FixtureRequest) -> Draft:
    return cousin_of("qwen3", seed=4, unlike=UNLIKE[request.param])


def speculation_of(driver: Driver) -> Speculation:
    assert driver.engine.speculation is not None
    return driver.engine.speculation


def every_kind() -> dict[str, Generation]:
    """Requests of all sorts; those that cannot be guessed at are among them."""
    prompts = [PROMPT[:size] for size in (1, 5, 16, 17, 30)]
    warm = Sampling(temperature=0.9, seed=11)
    made = {
        "greedy": Generation([Prompt(PROMPT)], sampling=GREEDY),
        "warm": Generation([Prompt(PROMPT)], sampling=warm),
        "hot": Generation([Prompt(PROMPT)], sampling=replace(warm, temperature=1.6, seed=12)),
        "top_p": Generation([Prompt(PROMPT)], sampling=replace(warm, top_p=0.8)),
        "top_k": Generation([Prompt(PROMPT)], sampling=replace(warm, top_k=5)),
        "min_p": Generation([Prompt(PROMPT)], sampling=replace(warm, min_p=0.2)),
        "penalties": Generation([Prompt(PROMPT)], sampling=replace(warm, presence_penalty=1.5, frequency_penalty=0.7)),
        "repetition": Generation([Prompt(PROMPT)], sampling=Sampling(temperature=0.0, repetition_penalty=1.8)),
        "bias": Generation([Prompt(PROMPT)], sampling=replace(warm, logit_bias={7: 4.0, 8: -100.0})),
        "logprobs": Generation([Prompt(PROMPT)], sampling=replace(warm, logprobs=3)),
        "min_tokens": Generation([Prompt(PROMPT)], min_tokens=9, stop_tokens=frozenset(range(200)), sampling=warm),
        "stops": Generation([Prompt(PROMPT)], stop_tokens=frozenset(range(0, 300, 9)), sampling=warm),
        "grammar": Generation([Prompt(PROMPT)], grammar=Grammar("regex", "[a-d]{9,40}"), sampling=warm),
        "hidden": Generation([Prompt(PROMPT)], hidden=Hidden.GENERATED, sampling=warm),
        "all hidden": Generation([Prompt(PROMPT)], hidden=Hidden.ALL, sampling=GREEDY),
    }
    made |= {f"size {len(prompt)}": Generation([Prompt(prompt)], sampling=warm) for prompt in prompts}
    made |= {f"most {most}": Generation([Prompt(PROMPT)], max_tokens=most, sampling=warm) for most in range(1, 12)}
    for generation in made.values():
        generation.max_tokens = generation.max_tokens or 33
    return made


def answers(model: PreTrainedModel, draft: Draft | None, *, together: bool = True, **options: Any) -> dict[str, Answer]:
    program = TokenProgram(model, tokenizer=byte_tokenizer(), hidden_layers=(-1,))
    with engine_for(program, draft=draft, **{"max_batch": 40, **options}) as driver:
        found = {}
        for name, generation in every_kind().items():
            found[name] = driver.begin(name, generation)
            if not together:
                driver.run()
        driver.run()
        driver.check_idle()
        if draft is not None:
            assert speculation_of(driver).drafted > 100
    return found


@pytest.fixture(scope="module")
def without(model: PreTrainedModel) -> dict[str, Answer]:
    return answers(model, None)


def same(found: dict[str, Answer], without: dict[str, Answer]) -> None:
    for name, answer in found.items():
        other = without[name]
        assert answer.error is None
        assert answer.tokens == other.tokens, name
        assert answer.end is not None
        assert other.end is not None
        assert replace(answer.end, cached_tokens=0) == replace(other.end, cached_tokens=0), name
        assert len(answer.logprobs) == len(other.logprobs)
        for mine, its in zip(answer.logprobs, other.logprobs, strict=True):
            assert mine.chosen.token == its.chosen.token
            assert mine.chosen.logprob == pytest.approx(its.chosen.logprob, abs=1e-3)
            assert [one.logprob for one in mine.top] == pytest.approx([one.logprob for one in its.top], abs=1e-3)
        assert answer.hidden.keys() == other.hidden.keys()
        for layer in answer.hidden:
            torch.testing.assert_close(answer.states(layer), other.states(layer), atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"together": False},
        {"step_tokens": 48, "max_batch": 7},
        {"prefix_cache": False, "kv_bytes": 150_000, "max_context": 80},
    ],
    ids=["together", "one by one", "small steps", "little memory"],
)
def test_requests_of_every_kind_get_what_they_get_without(
    model: PreTrainedModel, draft: Draft, without: dict[str, Answer], options: dict[str, Any]
) -> None:
    same(answers(model, draft, **options), without)


@pytest.mark.parametrize("tokens", [1, 2, 9])
def test_any_number_of_guesses_will_do(model: PreTrainedModel, without: dict[str, Answer], tokens: int) -> None:
    same(answers(model, replace(cousin_of("qwen3", seed=4), tokens=tokens)), without)


def test_a_good_draft_saves_steps_and_a_bad_one_is_left_alone(model: PreTrainedModel) -> None:
    def steps(draft: Draft | None, count: int) -> tuple[int, int]:
        with engine_for(TokenProgram(model), draft=draft) as driver:
            driver.ask("a", PROMPT, count)
            driver.run()
            made = 0 if draft is None else speculation_of(driver).drafted
            return driver.engine.load().steps, made

    assert steps(None, 101) == (101, 0)
    assert steps(cousin_of("qwen3", seed=4, unlike=0.0), 101) == (21, 80)
    taken, made = steps(cousin_of("qwen3", seed=5), 400)
    assert made < 200
    assert taken > 350


def test_what_the_draft_has_computed_is_shared_with_the_prefix(model: PreTrainedModel) -> None:
    draft = cousin_of("qwen3", seed=4)
    with engine_for(TokenProgram(model), draft=draft) as driver:
        computed = counted(driver)
        driver.ask("first", PROMPT * 3, 4)
        driver.run()
        assert sum(computed) >= 90
        computed.clear()
        driver.ask("second", [*PROMPT * 3, 5], 4)
        driver.run()
        assert 0 < sum(computed) < 30
        driver.check_idle()


def counted(driver: Driver) -> list[int]:
    """Positions that the draft computes, step by step."""
    runner: Any = speculation_of(driver).runner
    forward, computed = runner.forward, list[int]()

    def counting(slices: Sequence[Any], **options: Any) -> Any:
        computed.append(sum(len(piece.ids) for piece in slices))
        return forward(slices, **options)

    runner.forward = counting
    return computed


def breaking(runner: Any, when: Callable[[Sequence[Any]], Exception | None]) -> None:
    forward = runner.forward

    def broken(slices: Sequence[Any], **options: Any) -> Any:
        error = when(slices)
        if error is not None:
            raise error
        return forward(slices, **options)

    runner.forward = broken


def test_a_draft_that_fails_is_done_without(model: PreTrainedModel, caplog: pytest.LogCaptureFixture) -> None:
    metrics = AutoregressiveMetrics(Registry(process=False), namespace="n", pipeline="p", stage="s", revision="r")
    with engine_for(TokenProgram(model)) as driver:
        expected = [driver.ask(str(n), PROMPT[n:], 60) for n in range(3)]
        driver.run()
    with engine_for(TokenProgram(model), draft=cousin_of("qwen3", seed=4), metrics=metrics) as driver:
        calls = iter(range(10_000))
        breaking(speculation_of(driver).runner, lambda _: ValueError("no") if next(calls) in (2, 9) else None)
        with caplog.at_level(logging.ERROR):
            found = [driver.ask(str(n), PROMPT[n:], 60) for n in range(3)]
            driver.run()
        assert [answer.tokens for answer in found] == [answer.tokens for answer in expected]
        assert metrics.draft_failures.value == 2
        assert 0 < metrics.accepted.value <= metrics.drafted.value
        driver.check_idle()


def test_guesses_are_the_first_to_go_when_memory_is_short(model: PreTrainedModel) -> None:
    with engine_for(TokenProgram(model)) as driver:
        expected = driver.ask("a", PROMPT, 40)
        driver.run()
    with engine_for(TokenProgram(model), draft=cousin_of("qwen3", seed=4)) as driver:
        breaking(
            driver.engine._runner,
            lambda slices: (
                torch.OutOfMemoryError("no") if any(len(piece.ids) in (2, 3, 4, 5) for piece in slices) else None
            ),
        )
        answer = driver.ask("a", PROMPT, 40)
        driver.run()
        assert answer.tokens == expected.tokens
        assert driver.engine.scheduler.step_tokens == 256
        driver.check_idle()


def test_a_program_may_end_hold_or_append_in_the_middle_of_guesses(model: PreTrainedModel) -> None:
    """The tenth token is followed by input of the program's own, the fifteenth waits for a stream, the twentieth ends
    it."""

    def run(draft: Draft | None) -> Answer:
        program = TokenProgram(model)

        def advance(job: Job, progress: Any) -> Turn:
            job.state = (job.state or 0) + len(progress.tokens)  # type: ignore[operator]
            if job.state == 10:
                return Turn(append=[Prompt([5, 6, 7])])
            return Turn(hold=job.state == 15 and "s" in job.streams, finish="enough" if job.state == 20 else None)

        program.on_advance = advance
        with engine_for(program, draft=draft) as driver:
            free = driver.ask("free", PROMPT, 60)
            held = driver.begin("held", Generation([Prompt(PROMPT)], sampling=GREEDY), streams=["s"])
            driver.run()
            assert (len(free.tokens), len(held.tokens)) == (20, 15)
            driver.offer(Feed("held", "s", None, True))
            driver.run()
            assert held.tokens == free.tokens
            assert free.end is not None
            assert free.end.reason == "enough"
            driver.check_idle()
            return free

    assert run(cousin_of("qwen3", seed=4, unlike=0.0)).tokens == run(None).tokens


def test_stop_at_every_place_behind_a_guess(model: PreTrainedModel) -> None:
    with engine_for(TokenProgram(model), draft=cousin_of("qwen3", seed=4, unlike=0.0)) as driver:
        whole = driver.ask("whole", PROMPT, 24)
        driver.run()
        for token in dict.fromkeys(whole.tokens):
            answer = driver.ask(f"stop {token}", PROMPT, 24, stop_tokens=frozenset({token}))
            driver.run()
            assert answer.tokens == whole.tokens[: whole.tokens.index(token)]
            assert answer.end is not None
            assert (answer.end.reason, answer.end.stop_token) == (Finish.STOP, token)


def small_model(seed: int, vocabulary: int = 10) -> PreTrainedModel:
    torch.manual_seed(seed)
    sizes: dict[str, Any] = {
        "hidden_size": 32,
        "intermediate_size": 32,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
    }
    make: Any = AutoModelForCausalLM
    config = Qwen3Config(
        **sizes, num_key_value_heads=1, head_dim=16, vocab_size=vocabulary, eos_token_id=None, bos_token_id=1,
        pad_token_id=0, initializer_range=0.3, max_position_embeddings=64,
    )  # fmt: skip
    model = make.from_config(config, attn_implementation="sdpa").eval()
    assert isinstance(model, PreTrainedModel)
    return model


def limited(logits: torch.Tensor, sampling: Sampling) -> torch.Tensor:
    p = (logits.double() / sampling.temperature).softmax(-1)
    if sampling.top_k:
        p[p.argsort(descending=True)[sampling.top_k :]] = 0
        p /= p.sum()
    order = p.argsort(descending=True)
    before = p[order].cumsum(0) - p[order]
    p[order[before >= sampling.top_p]] = 0
    return p / p.sum()


def test_the_distribution_is_the_models_for_each_request_of_a_mixed_batch() -> None:
    """Of the two tokens behind a given one: both are guessed by a draft that mostly disagrees, and checked."""
    kinds = [Sampling(), Sampling(temperature=0.6), Sampling(top_p=0.7, temperature=1.4), Sampling(top_k=4)]
    draws, prompt = 700, [3, 1, 4]
    model = small_model(0)
    counts = torch.zeros(len(kinds), 10, 10, 10)
    with engine_for(TokenProgram(model), draft=Draft(small_model(1), None, 2), max_batch=64) as driver:
        asked = [
            (kind, driver.ask(f"{kind} {n}", prompt, 3, sampling=sampling))
            for n in range(draws)
            for kind, sampling in enumerate(kinds)
        ]
        driver.run()
        speculation = speculation_of(driver)
        assert 0.05 < speculation.accepted / speculation.drafted < 0.95
    for kind, answer in asked:
        counts[(kind, *answer.tokens)] += 1
    fresh = small_model(0)
    for kind, sampling in enumerate(kinds):
        expected = torch.zeros(10, 10, 10, dtype=torch.float64)
        with torch.no_grad():
            first = limited(fresh(torch.tensor([prompt])).logits[0, -1], sampling)
            for a in range(10):
                second = limited(fresh(torch.tensor([[*prompt, a]])).logits[0, -1], sampling)
                for b in range(10):
                    third = limited(fresh(torch.tensor([[*prompt, a, b]])).logits[0, -1], sampling)
                    expected[a, b] = draws * first[a] * second[b] * third
        fits(counts[kind], expected)


def fits(counts: torch.Tensor, expected: torch.Tensor) -> None:
    """Chi-square; cells that are rare count as one. What a right sampler exceeds once in a million times."""
    assert counts[expected == 0].sum() == 0
    often = expected >= 5
    found = torch.cat([counts[often], counts[~often].sum()[None]]).double()
    wanted = torch.cat([expected[often], expected[~often].sum()[None]])
    freedom = int(often.sum())
    statistic = ((found - wanted) ** 2 / wanted.clamp(min=1e-9)).sum().item()
    assert freedom > 8
    # Wilson and Hilferty's approximation of the quantile, which is close from a few degrees of freedom on.
    limit = freedom * (1 - 2 / (9 * freedom) + 4.753 * math.sqrt(2 / (9 * freedom))) ** 3
    assert statistic < limit


@pytest.mark.parametrize(
    ("tokenizers", "vocabulary", "words"),
    [
        (("model", "draft"), 300, None),
        (("model", "other"), 300, "another vocabulary than the model: 'ing'"),
        (("model", "draft"), 310, None),
        (("model", "draft"), 290, None),
        ((None, None), 300, None),
        ((None, None), 310, "the draft model has 310 tokens, the model 300"),
    ],
)
def test_a_draft_with_another_vocabulary_is_refused_in_a_line(
    model: PreTrainedModel, tokenizers: tuple[str | None, str | None], vocabulary: int, words: str | None
) -> None:
    """How many columns the logits are padded to is nobody's concern."""
    kinds: dict[str | None, PreTrainedTokenizerFast | None] = {
        None: None, "model": byte_tokenizer(), "draft": byte_tokenizer(), "other": byte_tokenizer(swapped=True),
    }  # fmt: skip
    draft = Draft(small_model(0, vocabulary), kinds[tokenizers[1]], 3)
    program = TokenProgram(model, tokenizer=kinds[tokenizers[0]])
    if words is not None:
        with pytest.raises(EngineError, match=words), engine_for(program, draft=draft):
            pass
        return
    with engine_for(program, draft=draft) as driver:
        odd = driver.ask("odd", [*PROMPT, 295], 20)
        plain = driver.ask("plain", PROMPT, 20)
        driver.run()
        assert (len(odd.tokens), len(plain.tokens)) == (20, 20)
        assert speculation_of(driver).drafted > 0
