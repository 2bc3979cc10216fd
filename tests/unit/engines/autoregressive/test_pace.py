"""Guessing goes on where it is cheaper, and the other way is looked at again."""

from omnipipe.engines.autoregressive.pace import Pace


def run(pace: Pace, steps: int, *, batch: int = 1, guessed_s: float, plain_s: float, tokens: int = 3) -> list[bool]:
    """What each step did, when one with guesses takes `guessed_s` and gives `tokens` a request."""
    done = []
    for _ in range(steps):
        guesses = pace.allows(batch)
        done.append(guesses)
        count = batch * (tokens if guesses else 1)
        pace.took(batch, count, guessed_s if guesses else plain_s, guessed=guesses)
    return done


def test_it_goes_on_where_it_pays_and_looks_at_the_other_way_less_and_less() -> None:
    done = run(Pace(), 4000, guessed_s=0.02, plain_s=0.01)
    assert done[0]
    assert done[-1]
    assert 0 < done.count(False) < 100
    assert done[2000:].count(False) <= done[:2000].count(False)


def test_it_is_off_where_it_does_not_pay() -> None:
    done = run(Pace(), 4000, guessed_s=0.05, plain_s=0.01)
    assert not done[-1]
    assert 0 < done.count(True) < 100


def test_each_size_of_batch_is_judged_by_itself_and_the_change_is_told() -> None:
    pace = Pace()
    run(pace, 300, batch=1, guessed_s=0.02, plain_s=0.01)
    said = []
    for _ in range(300):
        guesses = pace.allows(20)
        said.append(pace.took(20, 60 if guesses else 20, 0.9 if guesses else 0.1, guessed=guesses))
    assert pace.allows(1)
    assert not pace.allows(31)
    [line] = [words for words in said if words]
    assert "off for steps of 16 to 31 requests: a token takes 15.00 ms with it, 5.00 ms without" in line


def test_it_comes_back_when_the_load_has_changed() -> None:
    pace = Pace()
    assert not run(pace, 500, guessed_s=0.05, plain_s=0.01)[-1]
    assert run(pace, 3000, guessed_s=0.015, plain_s=0.01)[-1]


def test_steps_in_which_nobody_can_be_guessed_at_decide_nothing() -> None:
    pace = Pace()
    for _ in range(500):
        pace.took(4, 4, 0.01, guessed=False)
    assert run(pace, 50, batch=4, guessed_s=0.02, plain_s=0.01)[-1]
