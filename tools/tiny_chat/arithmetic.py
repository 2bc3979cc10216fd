"""Numbers: add and subtract 0 to 20, multiply 0 to 10, sort and compare, count up. The answer repeats the sum, which
makes one exercise out of many phrasings."""

import random

from tools.tiny_chat.instance import Instance, phrase
from tools.tiny_chat.vocabulary import NAMES, THINGS

__all__ = ["add", "count_to", "extreme", "multiply", "sort_numbers", "story", "subtract"]

_ASK = {
    "+": ("{a} + {b}", "{a}+{b}", "Add {a} and {b}.", "How much is {a} plus {b}?", "What is the sum of {a} and {b}?"),
    "-": ("{a} - {b}", "{a}-{b}", "Subtract {b} from {a}.", "How much is {a} minus {b}?", "Take {b} away from {a}."),
    "*": ("{a} * {b}", "{a} x {b}", "Multiply {a} by {b}.", "How much is {a} times {b}?", "{a} times {b}"),
}
_BARE = ("What is {s}?", "{s}", "{s} = ?", "Calculate {s}.", "How much is {s}?", "What's {s}?", "{s}=")


def _sum(rng: random.Random, task: str, sign: str, a: int, b: int, key: object) -> Instance:
    result = {"+": a + b, "-": a - b, "*": a * b}[sign]
    pattern = rng.choice(_ASK[sign]).format(a=a, b=b)
    question = phrase(rng, _BARE, s=pattern) if pattern[0].isdigit() else pattern
    if rng.random() < 0.12:
        how = rng.choice(("Answer with the number only.", "Reply with only the number.", "Just the number, please."))
        return Instance.asked(task, key, f"{question} {how}", str(result))
    return Instance.asked(task, key, question, f"{a} {sign} {b} = {result}")


def add(rng: random.Random) -> Instance:
    top = rng.choice((11, 21, 21))
    a, b = rng.randrange(top), rng.randrange(top)
    return _sum(rng, "add", "+", a, b, (a, b))


def subtract(rng: random.Random) -> Instance:
    top = rng.choice((11, 21, 21))
    a, b = rng.randrange(top), rng.randrange(top)
    if a < b and rng.random() < 0.8:
        a, b = b, a
    return _sum(rng, "subtract", "-", a, b, (a, b))


def multiply(rng: random.Random) -> Instance:
    """A table of 121 facts to know by heart: held out are phrasings, not facts."""
    a, b = rng.randrange(11), rng.randrange(11)
    return _sum(rng, "multiply", "*", a, b, (a, b, rng.randrange(1000)))


def story(rng: random.Random) -> Instance:
    name, thing, a, b = rng.choice(NAMES), rng.choice(THINGS), rng.randint(2, 10), rng.randint(2, 10)
    if rng.random() < 0.5:
        what, sign, left = rng.choice((f"gets {b} more", f"buys {b} more", f"finds {b} more")), "+", a + b
    else:
        a = a + b
        what, sign, left = rng.choice((f"loses {b}", f"sells {b}", f"gives away {b}")), "-", a - b
    question = f"{name} has {a} {thing}s and {what}. How many {thing}s does {name} have now?"
    return Instance.asked("story", question, question, f"{a} {sign} {b} = {left}. {name} has {left} {thing}s now.")


def _numbers(rng: random.Random, least: int, most: int) -> list[int]:
    top = rng.choice((10, 100, 100))
    return rng.sample(range(top), rng.randint(least, most))


def _listed(rng: random.Random, numbers: list[int]) -> str:
    return (" " if rng.random() < 0.2 else ", ").join(map(str, numbers))


def sort_numbers(rng: random.Random) -> Instance:
    numbers = _numbers(rng, 2, 5)
    down = rng.random() < 0.3
    asked: tuple[str, ...]
    if down:
        asked = ("Sort from largest to smallest: {n}", "Sort these numbers in descending order: {n}")
    else:
        asked = (
            "Sort these numbers: {n}",
            "Sort: {n}",
            "Sort the numbers {n}.",
            "Put these numbers in order: {n}",
            "Sort from smallest to largest: {n}",
            "Sort in ascending order: {n}",
        )
    answer = ", ".join(map(str, sorted(numbers, reverse=down)))
    return Instance.asked("sort_numbers", (down, numbers), phrase(rng, asked, n=_listed(rng, numbers)), answer)


def extreme(rng: random.Random) -> Instance:
    numbers = _numbers(rng, 2, 5)
    word, best = rng.choice((("largest", max), ("smallest", min), ("biggest", max)))
    asked = ("Which number is the {w}: {n}?", "What is the {w} of {n}?", "Find the {w} number: {n}")
    question = phrase(rng, asked, w=word, n=_listed(rng, numbers))
    return Instance.asked("extreme", (word, numbers), question, f"The {word} is {best(numbers)}.")


def count_to(rng: random.Random) -> Instance:
    start, end = 1, rng.randint(3, 20)
    asked = ["Count to {e}.", "Count from 1 to {e}.", "Please count up to {e}."]
    if rng.random() < 0.4:
        start = rng.randint(2, 60)
        end = start + rng.randint(2, 12)
        asked = ["Count from {s} to {e}.", "Please count from {s} to {e}."]
    answer = ", ".join(map(str, range(start, end + 1)))
    return Instance.asked("count_to", (start, end), phrase(rng, asked, s=start, e=end), answer)
