"""What a grammar forces is computed several tokens at a time, and nobody can tell from the answers."""

from dataclasses import replace
from typing import Any

import pytest
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
from transformers import PreTrainedModel

from omnipipe.engines.autoregressive.draft import Draft
from omnipipe.engines.autoregressive.forcing import Forcing
from omnipipe.engines.autoregressive.program import Finish, Generation, Grammar, Progress, Prompt, Sampling, Turn
from omnipipe.engines.program import Job

TOKENIZER = byte_tokenizer()
PROMPT = list(range(10, 30))
LINES = Grammar("regex", r"(first|the second) line: [0-9]{1,3}; and that is all there is to say\.")
ITEMS: dict[str, Any] = {
    "type": "object",
    "properties": {
        "identifier": {"enum": ["automobile", "aeroplane"]},
        "description": {"type": "string", "maxLength": 4},
        "available": {"type": "boolean"},
    },
    "required": ["identifier", "description", "available"],
    "additionalProperties": False,
    "x-guidance": {"whitespace_flexible": False},
}
SCHEMA = Grammar("json_schema", ITEMS)
PAIR = TOKENIZER.get_vocab()['{"']


class Never(Forcing):
    """Token by token."""

    def guess(self, part: Any) -> None:
        return


@pytest.fixture(scope="module")
def model() -> PreTrainedModel:
    model = model_of("qwen3", seed=4)
    assert model.generation_config is not None
    model.generation_config.eos_token_id = END
    return model


def text_of(answer: Answer) -> str:
    text = TOKENIZER.decode(answer.tokens, skip_special_tokens=True)
    assert isinstance(text, str)
    return text


def every_kind() -> dict[str, Generation]:
    warm = Sampling(temperature=1.1, seed=5)
    found: dict[str, Generation] = {}
    for name, grammar in (("lines", LINES), ("schema", SCHEMA), ("object", Grammar("json_object"))):
        plain = Generation(
            [Prompt(PROMPT)], max_tokens=70, grammar=grammar, sampling=GREEDY, stop_tokens=frozenset({END})
        )
        found |= {
            f"{name} greedy": plain,
            f"{name} warm": replace(plain, sampling=warm),
            f"{name} penal": replace(plain, sampling=replace(warm, presence_penalty=1.0, repetition_penalty=1.3)),
            f"{name} told": replace(plain, sampling=replace(warm, logprobs=3)),
            f"{name} long": replace(plain, min_tokens=40, sampling=replace(warm, top_p=0.8, seed=6)),
            f"{name} cut": replace(plain, max_tokens=11),
            f"{name} biased": replace(plain, sampling=replace(GREEDY, logit_bias={PAIR: 3.0})),
        }
    found["free"] = Generation([Prompt(PROMPT)], max_tokens=30, sampling=warm)
    return found


def run(
    model: PreTrainedModel, *, forced: bool, draft: Draft | None = None, **options: Any
) -> tuple[Driver, dict[str, Answer]]:
    with engine_for(TokenProgram(model, tokenizer=TOKENIZER), draft=draft, **options) as driver:
        if not forced:
            driver.engine.forcing = Never(driver.engine.scheduler, 0)
        answers = {rid: driver.begin(rid, generation) for rid, generation in every_kind().items()}
        driver.run()
        driver.check_idle()
    return driver, answers


def check_same(found: dict[str, Answer], wanted: dict[str, Answer]) -> None:
    for rid, want in wanted.items():
        answer = found[rid]
        assert answer.error is None, (rid, answer.error)
        assert answer.tokens == want.tokens, rid
        assert answer.end is not None
        assert want.end is not None
        assert (answer.end.reason, answer.end.completion_tokens) == (want.end.reason, want.end.completion_tokens), rid
        assert len(answer.logprobs) == len(want.logprobs)
        for mine, its in zip(answer.logprobs, want.logprobs, strict=True):
            assert mine.chosen.token == its.chosen.token
            assert mine.chosen.logprob == pytest.approx(its.chosen.logprob, abs=1e-3)


def test_every_kind_of_request_gets_the_answer_that_it_gets_token_by_token(model: PreTrainedModel) -> None:
    _, wanted = run(model, forced=False)
    driver, found = run(model, forced=True)
    check_same(found, wanted)
    assert driver.engine.forcing.guessed > 100


def test_and_when_memory_is_short(model: PreTrainedModel) -> None:
    _, wanted = run(model, forced=False)
    driver, found = run(model, forced=True, kv_bytes=12 << 13, prefix_cache=False)
    check_same(found, wanted)
    assert driver.engine.scheduler.preemptions > 0


def test_beside_a_draft_model(model: PreTrainedModel) -> None:
    _, wanted = run(model, forced=False)
    driver, found = run(model, forced=True, draft=cousin_of("qwen3", seed=4))
    check_same(found, wanted)
    assert driver.engine.speculation is not None
    assert driver.engine.speculation.drafted > 0
    assert driver.engine.forcing.guessed > 100


def test_a_forced_text_takes_a_few_steps(model: PreTrainedModel) -> None:
    grammar = Grammar("regex", "[ab]cdefghijklmnopqrstuvwxyz")
    with engine_for(TokenProgram(model, tokenizer=TOKENIZER)) as driver:
        answer = driver.ask("a", PROMPT, 60, grammar=grammar)
        steps = 0
        while not answer.ended:
            driver.step()
            steps += 1
    assert text_of(answer)[1:] == "cdefghijklmnopqrstuvwxyz"
    assert answer.end is not None
    assert answer.end.reason == Finish.STOP
    assert steps < 8


def test_a_step_has_no_more_of_them_than_there_is_memory_for_logits(model: PreTrainedModel) -> None:
    grammar = Grammar("regex", "[ab]cdefghijklmnopqrstuvwxyz")
    with engine_for(TokenProgram(model, tokenizer=TOKENIZER)) as driver:
        driver.engine.forcing = Forcing(driver.engine.scheduler, 5)
        answers = [driver.ask(str(number), PROMPT, 60, grammar=grammar) for number in range(4)]
        while not all(answer.ended for answer in answers):
            before = sum(len(answer.tokens) for answer in answers)
            driver.step()
            assert sum(len(answer.tokens) for answer in answers) - before <= 4 + 5
    assert driver.engine.forcing.guessed > 0
    assert all(text_of(answer)[1:] == "cdefghijklmnopqrstuvwxyz" for answer in answers)


def test_guesses_end_where_the_answer_may_not_be_longer(model: PreTrainedModel) -> None:
    grammar = Grammar("regex", "[ab]cdefghijklmnopqrstuvwxyz")
    with engine_for(TokenProgram(model, tokenizer=TOKENIZER)) as driver:
        answers = [driver.ask(str(count), PROMPT, count, grammar=grammar) for count in range(1, 28)]
        driver.run()
    for count, answer in enumerate(answers, 1):
        assert answer.end is not None
        assert answer.end.completion_tokens == len(answer.tokens) == min(count, 25)
        assert text_of(answer)[1:] == "cdefghijklmnopqrstuvwxyz"[: count - 1]


def test_a_program_may_end_it_in_the_middle(model: PreTrainedModel) -> None:
    program = TokenProgram(model, tokenizer=TOKENIZER)
    last = TOKENIZER.get_vocab()["m"]

    def advance(job: Job, progress: Progress) -> Turn:
        return Turn(finish="said m" if last in progress.tokens else None)

    program.on_advance = advance
    with engine_for(program) as driver:
        answer = driver.ask("a", PROMPT, 60, grammar=Grammar("regex", "[ab]cdefghijklmnopqrstuvwxyz"))
        driver.run()
        driver.check_idle()
    assert text_of(answer)[1:] == "cdefghijklm"
    assert answer.end is not None
    assert answer.end.reason == "said m"


def test_a_model_that_would_write_it_in_other_tokens_does_so_in_neither_case(model: PreTrainedModel) -> None:
    """Its tokenizer writes two tokens where there is one for both, and so do masks."""
    sampling = Sampling(temperature=0.0, logit_bias={PAIR: 50.0})
    found = []
    for forced in (True, False):
        with engine_for(TokenProgram(model, tokenizer=TOKENIZER)) as driver:
            if not forced:
                driver.engine.forcing = Never(driver.engine.scheduler, 0)
            grammar = Grammar("regex", r'x(\{"){20}')
            found.append(driver.ask("a", PROMPT, 120, grammar=grammar, sampling=sampling))
            driver.run()
    assert text_of(found[0]) == "x" + '{"' * 20
    assert found[0].tokens == found[1].tokens
    assert len(found[0].tokens) == 41
