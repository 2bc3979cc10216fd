"""How findings talk: what was meant, what was got."""

from collections.abc import Iterable
from difflib import get_close_matches

__all__ = ["kind_of", "listed", "meant", "number", "shown"]


def meant(word: str, known: Iterable[str]) -> str:
    """`; did you mean "stages"?`, or all that is known when nothing is near; empty when nothing is known."""
    names = list(known)
    if not names:
        return ""
    near = get_close_matches(word.lower(), [name.lower() for name in names], n=1, cutoff=0.6)
    if near:
        name = next(name for name in names if name.lower() == near[0])
        return f'; did you mean "{name}"?'
    return f"; known here: {listed(names)}"


def listed(names: Iterable[str]) -> str:
    return ", ".join(names)


def number(value: float) -> str:
    """Whole numbers without a fraction and never in powers of ten: a limit is there to be compared with."""
    return str(int(value)) if float(value).is_integer() else str(value)


def kind_of(value: object) -> str:
    match value:
        case None:
            return "nothing"
        case bool():
            return "true or false"
        case int() | float():
            return "a number"
        case str():
            return "a string"
        case dict():
            return "a mapping"
        case list() | tuple():
            return "a list"
        case _:
            return type(value).__name__


def shown(value: object) -> str:
    """The value itself when it is short enough to be read in a message, else its kind."""
    match value:
        case bool():
            return str(value).lower()
        case int() | float():
            text = str(value)
            return text if len(text) <= 40 else "a very large number"
        case str():
            return f'"{value}"' if len(value) <= 60 and value.isprintable() else f"a string of {len(value)} characters"
        case _:
            return kind_of(value)
