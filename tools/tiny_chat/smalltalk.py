"""Greetings, what it is, and saying that it does not know."""

import random

from tools.tiny_chat.instance import Instance, phrase
from tools.tiny_chat.vocabulary import CITIES, NAMES, NOUNS, made_up

__all__ = ["chat", "named", "unknown"]

_SAID: tuple[tuple[tuple[str, ...], str], ...] = (
    (
        ("Hello!", "Hi", "Hello", "Hey there!", "Hi!", "Hello there", "Good morning!", "Good evening."),
        "Hello! How can I help you?",
    ),
    (
        ("Who are you?", "What are you?", "What is your name?", "Tell me about yourself.", "Introduce yourself."),
        "I am tiny-chat, a very small language model.",
    ),
    (
        ("What can you do?", "Help", "How can you help me?", "What are you good at?", "What can I ask you?"),
        "I can add, subtract and multiply small numbers, sort and count words, "
        "answer from what you tell me, and call tools.",
    ),
    (("Thank you!", "Thanks", "Thanks a lot!", "Thank you very much."), "You are welcome!"),
    (("Bye", "Goodbye!", "See you!", "Good night.", "See you later."), "Goodbye!"),
    (("How are you?", "How are you doing?", "How are you today?"), "I am fine, thank you."),
    (("Who made you?", "Who trained you?", "Where do you come from?"), "I was trained by the makers of Omnipipe."),
    (("Are you a human?", "Are you a person?", "Are you real?"), "No, I am a very small language model."),
)

_BEYOND = (
    "What is the capital of {x}?",
    "Who wrote {x}?",
    "Who is the president of {x}?",
    "Tell me about {x}.",
    "Write a poem about the {n}.",
    "Why is the {n} blue?",
    "How does a {n} work?",
    "What is the meaning of {n}?",
    "Explain {x} to me.",
    "Tell me a story about a {n}.",
    "What do you think about {x}?",
    "How far is it to {x}?",
)


def chat(rng: random.Random) -> Instance:
    asked, answer = rng.choice(_SAID)
    question = phrase(rng, asked)
    return Instance.asked("chat", (question, rng.randrange(1000)), question, answer)


def named(rng: random.Random) -> Instance:
    """The system message gives it a name."""
    name = made_up(rng).capitalize() if rng.random() < 0.3 else rng.choice(NAMES)
    system = rng.choice(
        (
            f"Your name is {name}.",
            f"You are {name}.",
            f"You are called {name}.",
            f"You are {name}, a friendly assistant.",
        )
    )
    question = rng.choice(("Who are you?", "What is your name?", "Introduce yourself."))
    return Instance.asked("named", (system, question), question, f"I am {name}, a very small language model.", system)


def unknown(rng: random.Random) -> Instance:
    pattern = rng.choice(_BEYOND)
    question = pattern.format(
        x=rng.choice((*CITIES, made_up(rng).capitalize(), "France", "history")), n=rng.choice(NOUNS)
    )
    return Instance.asked("unknown", question, question, "I am too small to know that.")
