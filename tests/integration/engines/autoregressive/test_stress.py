"""Two thousand requests of all sorts against KV for a twentieth of them."""

import random

import pytest
from tests.integration.engines.autoregressive.serving import (
    Answer,
    Driver,
    TokenProgram,
    cousin_of,
    engine_for,
    model_of,
)
from tests.integration.engines.autoregressive.tokenizing import END, byte_tokenizer
from transformers import PreTrainedModel

from omnipipe.engines.autoregressive.program import Finish, Generation, Grammar, Hidden, Prompt, Sampling
from omnipipe.errors import ErrorKind

REQUESTS = 2000
MEAN_POSITIONS = 32
BLOCK_BYTES = 2 * 2 * 32 * 4 * 8
"""Layers, heads, key and value, f32, positions in a block."""
KV_BYTES = REQUESTS // 20 * MEAN_POSITIONS // 8 * BLOCK_BYTES
"""For a twentieth of the requests, if all were there at once."""

GRAMMARS = [
    Grammar("choice", ["yes", "no"]),
    Grammar("regex", "[a-z]{1,9}"),
    Grammar("json_schema", {"enum": [1, True, "three", None]}),
]


def any_generation(rng: random.Random) -> Generation:
    prefix = [*range(3, 3 + rng.choice([0, 0, 9, 24]))]
    prompt = prefix + [rng.randrange(290) for _ in range(rng.randint(1, rng.choice([3, 20, 60])))]
    sampling = Sampling(
        temperature=rng.choice([0.0, 0.7, 1.0, 1.6]),
        top_p=rng.choice([1.0, 1.0, 0.8]),
        top_k=rng.choice([0, 0, 3, 40]),
        min_p=rng.choice([0.0, 0.0, 0.1]),
        presence_penalty=rng.choice([0.0, 0.0, 1.0]),
        frequency_penalty=rng.choice([0.0, 0.0, -0.5]),
        repetition_penalty=rng.choice([1.0, 1.0, 1.3]),
        logit_bias=rng.choice([{}, {}, {5: 3.0, 6: -100.0}]),
        seed=rng.choice([None, 7]),
        logprobs=rng.choice([None, None, 0, 3]),
    )
    most = rng.choice([None, 1, 8, 40, 60]) if rng.random() > 0.03 else 0
    return Generation(
        [Prompt(prompt)],
        max_tokens=rng.randint(1, 30) if most is None else most,
        min_tokens=rng.choice([0, 0, 2]),
        stop_tokens=frozenset({END, *rng.sample(range(290), rng.choice([0, 0, 9]))}),
        sampling=sampling,
        grammar=rng.choice(GRAMMARS) if rng.random() < 0.1 else None,
        prompt_logprobs=rng.choice([None, None, None, 0, 2]),
        hidden=rng.choice([Hidden.NONE] * 8 + [Hidden.ALL, Hidden.GENERATED]),
        priority=rng.choice([0, 0, 0, 1, -1]),
    )


@pytest.mark.timeout(400)
@pytest.mark.parametrize("drafts", [False, True], ids=["plain", "drafted"])
def test_all_end_right_and_nothing_leaks(drafts: bool) -> None:
    rng = random.Random(20)
    model: PreTrainedModel = model_of("qwen3", seed=4)
    assert model.generation_config is not None
    model.generation_config.eos_token_id = END
    program = TokenProgram(model, tokenizer=byte_tokenizer(), hidden_layers=(-1,))
    asked: dict[str, Generation] = {}
    draft = cousin_of("qwen3", seed=4) if drafts else None
    kv_bytes = KV_BYTES * (1 + drafts)  # the draft's is as large as the model's
    with engine_for(
        program, draft=draft, max_batch=200, step_tokens=256, kv_bytes=kv_bytes, block_tokens=8, max_context=100
    ) as driver:
        while len(asked) < REQUESTS or driver.engine.next_step(0.0) == 0.0 or driver.paused:
            for _ in range(min(rng.choice([0, 0, 120]), REQUESTS - len(asked))):
                rid = str(len(asked))
                asked[rid] = any_generation(rng)
                driver.begin(rid, asked[rid])
            disturb(rng, driver, more=len(asked) < REQUESTS)
            driver.step()
        assert driver.engine.scheduler.preemptions > 10
        assert driver.engine.scheduler.hit_tokens > 500
        driver.check_idle()
        if driver.engine.speculation is not None:
            assert driver.engine.speculation.accepted > 1000
        for rid, generation in asked.items():
            if rid not in driver.dropped:
                right(generation, driver.answers[rid])
        assert 50 < len(driver.dropped) < REQUESTS // 4


def disturb(rng: random.Random, driver: Driver, *, more: bool) -> None:
    live = list(driver.engine._exchange.live)
    for rid in list(driver.paused):
        if not more or rng.random() < 0.2 or rid not in live:
            driver.resume(rid)
    if not live or not more:
        return
    if rng.random() < 0.3:
        driver.pause(rng.choice(live))
    for rid in rng.sample(live, min(len(live), rng.choice([0, 1, 5]))):
        driver.drop(rid)


def right(generation: Generation, answer: Answer) -> None:
    size = len(generation.prompt[0])
    assert generation.max_tokens is not None
    if answer.error is not None:
        assert answer.error.kind is ErrorKind.INVALID
        assert size >= 100 + (generation.max_tokens == 0)
        return
    end = answer.end
    assert end is not None
    shown = len(answer.tokens)
    assert end.prompt_tokens == size
    assert len(answer.prompt) == (0 if generation.prompt_logprobs is None else size - 1)
    assert end.completion_tokens == shown + (end.stop_token is not None)
    assert not generation.stop_tokens & set(answer.tokens) or generation.min_tokens
    assert end.completion_tokens <= generation.max_tokens
    assert len(answer.logprobs) == (0 if generation.sampling.logprobs is None else shown)
    if end.reason == Finish.LENGTH:
        assert shown == min(generation.max_tokens, 100 - size)
    else:
        assert end.reason == Finish.STOP
        assert end.stop_token in generation.stop_tokens or generation.grammar is not None
    states = 0 if -1 not in answer.hidden else len(answer.states(-1))
    expected = {Hidden.NONE: 0, Hidden.GENERATED: shown, Hidden.ALL: size - 1 + shown}[generation.hidden]
    assert states == expected
