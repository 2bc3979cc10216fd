"""What tiny-omni is asked, and the one right answer to it, character by character."""

import hashlib
import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from PIL import Image
from tools.tiny_omni.pictures import COLOURS, SHAPES, Pixels, draw, flashing, pattern
from tools.tiny_omni.tones import SYMBOL_S, VOICES, Wave, synthesize

__all__ = ["HEARS_HZ", "TASKS", "Question", "held_out", "questions"]

HEARS_HZ: Final = 16_000
HELD_OUT_SHARE: Final = 16
"""One key in so many is kept for evaluation."""


@dataclass(frozen=True, slots=True)
class Question:
    task: str
    key: str
    """Equal keys are held out together."""
    text: str
    answer: str
    image: Image.Image | None = None
    video: Pixels | None = None
    audio: Wave | None = None


def held_out(question: Question) -> bool:
    digest = hashlib.sha256(f"{question.task}|{question.key}".encode()).digest()
    return digest[0] % HELD_OUT_SHARE == 0


def picture(rng: random.Random) -> Question:
    """Held out are pictures: place, size and shade; all colours and shapes are seen."""
    colour, shape = rng.choice(list(COLOURS)), rng.choice(SHAPES)
    asked = rng.choice(
        ("What is in the picture?", "What do you see?", "Describe the image.", "What is this?", "What is in the image?")
    )
    seed = rng.randrange(1 << 30)
    image = draw(random.Random(seed), colour, shape)
    return Question("picture", f"{colour} {shape} {seed}", asked, f"a {colour} {shape}", image=image)


def digits(rng: random.Random) -> Question:
    """Held out are sequences of digits."""
    text = "".join(rng.choice("0123456789") for _ in range(rng.choice((1, 2, 3, 3, 4, 4, 5, 5, 6, 6))))
    asked = rng.choice(("What do you hear?", "Which digits do you hear?", "Write down the digits.", "Read the digits."))
    before, after = (0.0 if rng.random() < 0.6 else rng.uniform(0.0, 0.3) for _ in range(2))
    return Question("digits", text, asked, text, audio=clip(rng, text, before, after))


def clip(rng: random.Random, text: str, before_s: float, after_s: float) -> Wave:
    """As a microphone might hear it: louder or softer, with a little noise."""
    wave = synthesize(text, rng.choice(list(VOICES)), HEARS_HZ) * rng.uniform(0.3, 1.0)
    wave = np.pad(wave, (round(before_s * HEARS_HZ), round((after_s + SYMBOL_S) * HEARS_HZ)))
    noise = np.random.default_rng(rng.randrange(1 << 30)).standard_normal(len(wave)) * rng.choice((0.0, 0.002, 0.01))
    return (wave + noise).astype(np.float32)


def flashes(rng: random.Random) -> Question:
    """Held out are patterns of light and dark."""
    count = rng.randint(0, 6)
    frames = pattern(rng, count)
    asked = rng.choice(("How many flashes?", "Count the flashes.", "How many flashes do you see?"))
    answer = "1 flash" if count == 1 else f"{count} flashes"
    return Question("flashes", frames, asked, answer, video=flashing(rng, frames))


def add(rng: random.Random) -> Question:
    """A table of 100 facts to know by heart: nothing is held out but the phrasing."""
    a, b = rng.randrange(10), rng.randrange(10)
    asked = rng.choice(("{a} + {b}", "What is {a} + {b}?", "Add {a} and {b}.", "How much is {a} plus {b}?"))
    return Question("add", f"{a} {b} {rng.randrange(1000)}", asked.format(a=a, b=b), f"{a} + {b} = {a + b}")


def count(rng: random.Random) -> Question:
    end = rng.randint(2, 20)
    asked = rng.choice(("Count to {n}.", "Please count to {n}.", "Count from 1 to {n}."))
    return Question("count", f"{end} {rng.randrange(1000)}", asked.format(n=end), " ".join(map(str, range(1, end + 1))))


_SAID: Final = (
    (("Hello!", "Hi", "Hello", "Hi!", "Good morning!", "Hello, how are you?"), "Hello! Show me a picture."),
    (("Who are you?", "What are you?", "What is your name?"), "I am tiny-omni."),
    (("What can you do?", "Help", "How can you help me?"), "I see shapes, hear digits and count flashes."),
    (("Thank you!", "Thanks", "Thanks a lot!"), "You are welcome!"),
    (("Bye", "Goodbye!", "Good night."), "Goodbye!"),
)
_BEYOND: Final = (
    "What is the capital of {x}?",
    "Who wrote {x}?",
    "Tell me about {x}.",
    "Write a poem about {x}.",
    "Explain {x} to me.",
    "Why is {x} blue?",
    "Tell me a story about {x}.",
    "How far is it to {x}?",
)
_THINGS: Final = ("Paris", "Rome", "Oslo", "Hamlet", "France", "history", "music", "water", "light", "bread", "the sky",
    "the moon", "a fox", "a bear", "love", "time", "gold")  # fmt: skip


def chat(rng: random.Random) -> Question:
    asked, answer = rng.choice(_SAID)
    text = rng.choice(asked)
    return Question("chat", f"{text} {rng.randrange(1000)}", text, answer)


def unknown(rng: random.Random) -> Question:
    text = rng.choice(_BEYOND).format(x=rng.choice(_THINGS))
    return Question("unknown", text, text, "I am too small to know that.")


TASKS: Final[Mapping[str, tuple[Callable[[random.Random], Question], float]]] = {
    "picture": (picture, 44),
    "digits": (digits, 20),
    "flashes": (flashes, 12),
    "add": (add, 12),
    "count": (count, 7),
    "chat": (chat, 4),
    "unknown": (unknown, 3),
}
"""Task -> its maker and its share of the training."""


def questions(rng: random.Random, task: str = "", held: bool = False) -> Iterator[Question]:
    """Of one task or of all in their shares; only those of the training or only those that it never sees."""
    makers, shares = [maker for maker, _ in TASKS.values()], [share for _, share in TASKS.values()]
    while True:
        maker = TASKS[task][0] if task else rng.choices(makers, shares)[0]
        question = maker(rng)
        if held_out(question) == held:
            yield question
