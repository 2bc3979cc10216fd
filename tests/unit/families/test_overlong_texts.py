"""That a text is too long is seen without tokenizing all of it, and never said of one that fits."""

import pytest

from omnipipe.families.overlong import surely_longer


class Tokenizer:
    """A token for so many characters. Counts what it was given."""

    def __init__(self, characters: int) -> None:
        self._characters = characters
        self.seen = 0

    def __call__(self, text: str) -> range:
        self.seen += len(text)
        return range(-(-len(text) // self._characters))


@pytest.mark.parametrize("characters", [1, 4, 8, 100])
def test_megabytes_cost_what_the_context_does(characters: int) -> None:
    tokenizer = Tokenizer(characters)

    assert surely_longer("x" * 10_000_000, 2000, tokenizer)
    assert tokenizer.seen < 2000 * max(16, characters * 8)


@pytest.mark.parametrize("characters", [1, 4, 8, 100])
@pytest.mark.parametrize("room", [1, 16, 2000])
def test_what_fits_is_never_refused(characters: int, room: int) -> None:
    assert not surely_longer("x" * (room * characters), room, Tokenizer(characters))


def test_an_ordinary_text_is_not_tokenized_twice() -> None:
    tokenizer = Tokenizer(4)

    assert not surely_longer("x" * 8000, 2000, tokenizer)
    assert not surely_longer("", 2000, tokenizer)
    assert tokenizer.seen == 0
