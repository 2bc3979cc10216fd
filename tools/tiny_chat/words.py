"""Words: sort, reverse and count them, say them again."""

import random

from tools.tiny_chat.instance import Instance, phrase
from tools.tiny_chat.vocabulary import CITIES, FOODS, NAMES, NOUNS, THINGS, WORDS, made_up, sentence

__all__ = ["count_words", "repeat", "reverse", "sort_words"]

_LETTERS = "äöüßéèêñçåøæłşğœíóúżαβγδλπωжзиклпфцшя你好世界人天水日本語のはをかな한국어ไทยअआ"
_SIGNS = "😀🎉🚀👍🏽🌍❤️👩‍💻🔥✨…€£±×→“”–"


def sort_words(rng: random.Random) -> Instance:
    pool = rng.choice((WORDS, WORDS, FOODS, NOUNS, THINGS, NAMES, CITIES))
    words = rng.sample(pool, rng.randint(2, 5))
    asked = (
        "Sort these words: {w}",
        "Sort these words alphabetically: {w}",
        "Sort alphabetically: {w}",
        "Put these words in alphabetical order: {w}",
        "Sort the words {w}.",
        "Please sort these words from A to Z: {w}",
    )
    listed = (" " if rng.random() < 0.2 else ", ").join(words)
    return Instance.asked("sort_words", words, phrase(rng, asked, w=listed), ", ".join(sorted(words)))


def reverse(rng: random.Random) -> Instance:
    words = [made_up(rng) if rng.random() < 0.2 else rng.choice(WORDS) for _ in range(rng.randint(2, 5))]
    asked = ("Reverse this list: {w}", "Reverse the order of these words: {w}", "Say these words backwards: {w}")
    question = phrase(rng, asked, w=", ".join(words))
    return Instance.asked("reverse", words, question, ", ".join(reversed(words)))


def count_words(rng: random.Random) -> Instance:
    count = rng.randint(1, 8)
    text = sentence(rng, count)
    asked = (
        "How many words are in: {t}",
        'How many words are in "{t}"?',
        "Count the words: {t}",
        "Count the words in this sentence: {t}",
        'How many words does "{t}" have?',
    )
    answer = "There is 1 word." if count == 1 else f"There are {count} words."
    return Instance.asked("count_words", text, phrase(rng, asked, t=text), answer)


def repeat(rng: random.Random) -> Instance:
    pieces = [_piece(rng) for _ in range(rng.randint(1, 5))]
    text = " ".join(pieces)
    asked = ("Say: {t}", "Repeat: {t}", "Repeat after me: {t}", "Please repeat this: {t}", 'Say "{t}".', "Echo: {t}")
    return Instance.asked("repeat", text, phrase(rng, asked, t=text), text)


def _piece(rng: random.Random) -> str:
    match rng.randrange(10):
        case 0 | 1 | 2:
            return made_up(rng)
        case 3:
            return made_up(rng).capitalize()
        case 4:
            return str(rng.randrange(10 ** rng.randint(1, 4)))
        case 5:
            return "".join(rng.choice(_LETTERS) for _ in range(rng.randint(1, 3)))
        case 6:
            return rng.choice(_SIGNS)
        case _:
            return rng.choice((*WORDS, *NAMES, "hello", "hello,", "world", "yes!", "it works."))
