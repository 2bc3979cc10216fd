"""The words that the data is made of. Held-out instances use the same words in other combinations, and made-up ones."""

import random
from typing import Final

__all__ = ["CITIES", "COLOURS", "FOODS", "JOBS", "NAMES", "NOUNS", "PLACES", "THINGS", "WORDS", "made_up", "sentence"]


def _split(text: str) -> tuple[str, ...]:
    return tuple(text.split())


NAMES: Final = _split("""
Ann Ben Carl Dora Emma Finn Gina Hugo Ida Jack Kate Leo Mia Nina Omar Paul Rosa Sam Tina Uma Vera Will Yara Zoe
Adam Bella Clara David Ella Frank Grace Henry Iris John Laura Mark Nora Oscar Peter Ruth Sara Tom Alice Bob
""")
CITIES: Final = _split("""
Oslo Rome Paris Berlin London Madrid Tokyo Lima Cairo Delhi Vienna Athens Dublin Lisbon Prague Warsaw Boston
Chicago Toronto Sydney Seoul Nairobi Helsinki Zurich Geneva Hamburg Munich Porto Kyoto Austin
""")
COLOURS: Final = _split("""
red blue green yellow black white brown pink orange grey purple
""")
THINGS: Final = _split("""
car bike hat book cup bag house boat ball chair lamp pen coat box key phone watch ring shoe table door kite
guitar piano camera basket bottle candle clock desk drum fork knife ladder mirror pillow spoon ticket umbrella
""")
PLACES: Final = _split("""
kitchen garden garage attic drawer cellar office hall bedroom shed cupboard barn library
""")
FOODS: Final = _split("""
apple banana cherry pear plum grape lemon mango fig peach kiwi melon bread cheese tea coffee milk rice soup
pizza pasta cake honey salad egg fish
""")
JOBS: Final = _split("""
doctor teacher baker farmer pilot nurse painter singer lawyer cook driver writer dentist judge
""")
NOUNS: Final = _split("""
ant bear bee bird cat cow deer dog duck fox frog goat hen horse lion mouse owl pig rabbit sheep snake tiger wolf
zebra river tree stone cloud moon star sun wind rain snow fire sand field forest island lake mountain ocean road
bridge castle tower window wall roof floor paper letter music song story game team friend child king queen
""")
_SMALL: Final = _split("""
the a my we is on in at it and to of old new big small was very fast slow good nice here
""")
WORDS: Final = tuple(sorted({*FOODS, *NOUNS, *THINGS, *COLOURS, *PLACES, *JOBS}))

_ONSETS: Final = _split("""
b bl br c ch d dr f fl g gr h j k kr l m n p pl qu r s sh st t tr v w y z
""")
_VOWELS: Final = _split("""
a e i o u ai ea oo ou
""")
_CODAS: Final = ("", "", "n", "r", "l", "s", "t", "m", "x", "nd", "rk")


def made_up(rng: random.Random, syllables: int = 0) -> str:
    """A word that nobody uses, so that copying is learned and not the words."""
    count = syllables or rng.randint(1, 3)
    return "".join(rng.choice(_ONSETS) + rng.choice(_VOWELS) + rng.choice(_CODAS) for _ in range(count))


def sentence(rng: random.Random, count: int) -> str:
    """`count` words in a row, hardly grammatical."""
    return " ".join(rng.choice(_SMALL) if place % 2 else rng.choice(WORDS) for place in range(count))
