"""What a program may have beyond one request at a time: a word on all new tokens of a step, a begin that waits for its
stream, something to say before anything is computed."""

import math
from collections.abc import Sequence

import torch
from tests.integration.engines.autoregressive.serving import GREEDY, TokenProgram, engine_for, model_of, reference

from omnipipe.engines.autoregressive.program import Generation, Hidden, Progress, Prompt, Turn
from omnipipe.engines.engine import Begin, Consumed, Emission, Failure, Feed, Finished
from omnipipe.engines.program import Emit, Job


class Chorus(TokenProgram):
    """Notes what it is told together."""

    def __init__(self) -> None:
        super().__init__(model_of("llama"))
        self.told: list[list[str]] = []
        self.bad: set[str] = set()

    def tokens(self, batch: Sequence[tuple[Job, Progress]]) -> None:
        self.told.append([job.rid for job, _ in batch])
        if any(job.rid in self.bad for job, _ in batch):
            raise ValueError("not this one")
        for job, progress in batch:
            job.state = progress.tokens[0]

    def advance(self, job: Job, progress: Progress) -> Turn:
        assert job.state == progress.tokens[0], "told before"
        return super().advance(job, progress)


def test_all_tokens_of_a_step_are_told_together() -> None:
    program = Chorus()
    with engine_for(program) as driver:
        answers = [driver.ask(str(n), [5 + n] * (3 + n), 6) for n in range(4)]
        driver.run()
        assert [len(answer.tokens) for answer in answers] == [6] * 4
    assert program.told == [["0", "1", "2", "3"]] * 6


def test_what_raises_there_fails_alone_after_a_second_try() -> None:
    program = Chorus()
    program.bad = {"1"}
    with engine_for(program) as driver:
        answers = [driver.ask(str(n), [5 + n] * 4, 3) for n in range(3)]
        driver.run()
        assert answers[1].error is not None
        assert [len(answers[n].tokens) for n in (0, 2)] == [3, 3]
        driver.check_idle()
    assert program.told[:4] == [["0", "1", "2"], ["0"], ["1"], ["2"]]


def test_a_stop_token_is_not_told() -> None:
    model = model_of("llama")
    first, second = reference(model, [7, 8, 9], 2)
    assert first != second
    program = Chorus()
    with engine_for(program) as driver:
        answer = driver.begin(
            "a", Generation([Prompt([7, 8, 9])], max_tokens=5, sampling=GREEDY, stop_tokens=frozenset({second}))
        )
        driver.run()
        assert answer.tokens == [first]
    assert program.told == [["a"]]


class Listener(TokenProgram):
    """Begins with what its stream brings, and says so at once."""

    def begin(self, job: Job, context: int) -> Generation | None:  # type: ignore[override]
        words = job.chunks["words"]
        if len(words) < 2 and "words" not in job.ended:
            return None
        tokens = [token for chunk in words for token in chunk]
        return Generation([Prompt(tokens)], max_tokens=4, sampling=GREEDY, emits=[Emit("heard", len(tokens))])


def test_a_begin_can_wait_for_its_stream() -> None:
    model = model_of("llama")
    with engine_for(Listener(model)) as driver:
        engine = driver.engine
        engine.offer(Begin("a", {}, frozenset({"words"}), frozenset({"tokens"}), {}, math.inf))
        assert engine.next_step(0.0) == 0.0
        assert engine.step(0.0) == []
        assert engine.next_step(0.0) is None, "it waits, and does not turn"
        assert engine.load().queued == 1
        engine.offer(Feed("a", "words", [7, 8], last=False))
        assert engine.step(0.0) == []
        engine.offer(Feed("a", "words", [9], last=True))
        results = engine.step(0.0)
        assert results[:2] == [Consumed("a", "words", 2), Emission("a", "heard", 3)]
        while engine.next_step(0.0) == 0.0:
            results += engine.step(0.0)
        tokens = [token for r in results[2:] if isinstance(r, Emission) and r.value for token in r.value.tokens]
        assert tokens == reference(model_of("llama"), [7, 8, 9], 4)
        assert results[-1] == Finished("a")
        assert engine.load().queued == engine.load().running == 0


def test_hidden_states_of_the_prompt_alone() -> None:
    model = model_of("llama")
    prompt = list(range(3, 40))
    with torch.no_grad():
        expected = model(torch.tensor([prompt]), output_hidden_states=True).hidden_states[1][0]
    with engine_for(TokenProgram(model, hidden_layers=(1,)), step_tokens=16) as driver:
        answer = driver.begin(
            "a", Generation([Prompt(prompt)], max_tokens=5, sampling=GREEDY, hidden=Hidden.PROMPT)
        )  # fmt: skip
        driver.run()
        assert answer.tokens == reference(model_of("llama"), prompt, 5)
        torch.testing.assert_close(answer.states(1), expected, atol=1e-4, rtol=1e-4)


def test_shapes_that_do_not_fit_fail_alone() -> None:
    model = model_of("llama")
    size = model.config.hidden_size
    wrong = [
        Prompt(embeds=torch.zeros(3, size + 1)),
        Prompt(embeds=torch.zeros(3, size), deep=[torch.zeros(2, size)]),
        Prompt([1, 2], positions=torch.zeros(3, 2)),
    ]
    with engine_for(TokenProgram(model)) as driver:
        answers = [driver.begin(str(n), Generation([part], max_tokens=2)) for n, part in enumerate(wrong)]
        good = driver.ask("good", [5, 6], 3)
        driver.run()
        assert all(answer.error is not None for answer in answers)
        assert good.tokens == reference(model_of("llama"), [5, 6], 3)
        assert not any(isinstance(result, Failure) for result in driver.step())
