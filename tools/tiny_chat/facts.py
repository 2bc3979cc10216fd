"""Answers out of the given context, and the same as JSON."""

import json
import random
from collections.abc import Callable

from tools.tiny_chat.instance import Instance, phrase
from tools.tiny_chat.vocabulary import CITIES, COLOURS, FOODS, JOBS, NAMES, PLACES, THINGS, made_up

__all__ = ["as_json", "context"]

Fact = tuple[str, str, tuple[str, ...], str]
"""What it is about, the sentence, the questions, the answer."""

UNKNOWN = "I do not know."


def _person(rng: random.Random) -> str:
    return made_up(rng, 2).capitalize() if rng.random() < 0.2 else rng.choice(NAMES)


def _owns(rng: random.Random, who: str) -> Fact:
    colour, thing = rng.choice(COLOURS), rng.choice(THINGS)
    asked = (f"What colour is {who}'s {thing}?", f"Which colour is the {thing} of {who}?")
    if rng.random() < 0.3:
        return thing, f"{who} has a {colour} {thing}.", (f"Who has a {thing}?",), f"{who} has a {thing}."
    return thing, f"{who} has a {colour} {thing}.", asked, f"{who}'s {thing} is {colour}."


def _lies(rng: random.Random, who: str) -> Fact:
    thing, place = rng.choice(THINGS), rng.choice(PLACES)
    where = f"The {thing} is in the {place}."
    return thing, where, (f"Where is the {thing}?", f"Where can I find the {thing}?"), where


def _age(rng: random.Random, who: str) -> Fact:
    age = rng.randint(3, 90)
    said = f"{who} is {age} years old."
    return who, said, (f"How old is {who}?", f"What is the age of {who}?"), said


def _lives(rng: random.Random, who: str) -> Fact:
    city = made_up(rng, 2).capitalize() if rng.random() < 0.2 else rng.choice(CITIES)
    said = f"{who} lives in {city}."
    asked = (f"Where does {who} live?", f"In which city does {who} live?")
    return (who, said, asked, said) if rng.random() < 0.7 else (city, said, (f"Who lives in {city}?",), said)


def _likes(rng: random.Random, who: str) -> Fact:
    food = rng.choice(FOODS)
    said = f"{who} likes {food}."
    return (
        (who, said, (f"What does {who} like?",), said)
        if rng.random() < 0.7
        else (food, said, (f"Who likes {food}?",), said)
    )


def _works(rng: random.Random, who: str) -> Fact:
    job = rng.choice(JOBS)
    said = f"{who} is a {job}."
    asked = (f"What is {who}'s job?", f"What does {who} do?")
    return (who, said, asked, said) if rng.random() < 0.7 else (job, said, (f"Who is a {job}?",), said)


_KINDS: tuple[Callable[[random.Random, str], Fact], ...] = (_owns, _owns, _lies, _age, _lives, _likes, _works)


def _facts(rng: random.Random, count: int) -> list[Fact]:
    """Of different people and things, so that each question has one answer."""
    facts: list[Fact] = []
    seen: set[str] = set()
    one_kind = rng.choice(_KINDS) if rng.random() < 0.5 else None
    while len(facts) < count:
        who = _person(rng)
        fact = (one_kind or rng.choice(_KINDS))(rng, who)
        words = {who, fact[0]}
        if not words & seen:
            seen |= words
            facts.append(fact)
    return facts


def context(rng: random.Random) -> Instance:
    facts = _facts(rng, rng.randint(1, 5))
    chosen = rng.choice(facts)
    question, answer = rng.choice(chosen[2]), chosen[3]
    if len(facts) > 1 and rng.random() < 0.08:
        facts.remove(chosen)
        answer = UNKNOWN
    told = " ".join(fact[1] for fact in facts)
    key = f"{told}{question}"
    where = rng.random()
    if where < 0.15:
        return Instance.asked("context", key, question, answer, system=told)
    if where < 0.3:
        messages = (
            {"role": "user", "content": told},
            {"role": "assistant", "content": "OK."},
            {"role": "user", "content": question},
            {"role": "assistant", "content": answer},
        )
        return Instance("context", key, messages)
    joint = rng.choice((" ", " ", "\n", "\n\nQuestion: "))
    return Instance.asked("context", key, f"{told}{joint}{question}", answer)


def as_json(rng: random.Random) -> Instance:
    name, age, city = _person(rng), rng.randint(3, 90), rng.choice(CITIES)
    if rng.random() < 0.2:
        city = made_up(rng, 2).capitalize()
    keys = ["name", "age", "city", "job", "likes"]
    values = dict(zip(keys, (name, age, city, rng.choice(JOBS), rng.choice(FOODS)), strict=True))
    wanted = [key for key in keys if key in ("name", "age", "city") or rng.random() < 0.3]
    if rng.random() < 0.4:
        wanted = rng.sample(wanted, rng.randint(2, len(wanted)))
    told = f"{name} is {age} years old and lives in {city}."
    if "job" in wanted:
        told += f" {name} is a {values['job']}."
    if "likes" in wanted:
        told += f" {name} likes {values['likes']}."
    listed = ", ".join(wanted[:-1]) + " and " + wanted[-1]
    asked = ("{t} Give me {l} as JSON.", "{t} Return JSON with {l}.", "{t} Write {l} as a JSON object.")
    answer = json.dumps({key: values[key] for key in wanted}, ensure_ascii=False)
    return Instance.asked("json", (told, wanted), phrase(rng, asked, t=told, l=listed), answer)
