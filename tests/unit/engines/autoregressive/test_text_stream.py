"""Pieces of text: whole characters, and no stop string in any of them."""

import random

import pytest

from omnipipe.engines.autoregressive.text import TextStream


def decode(tokens: list[int]) -> str:
    """A tokenizer whose tokens are bytes; 256 and up are special and decode to nothing."""
    return bytes(token for token in tokens if token < 256).decode(errors="replace")


TEXTS = [
    "plain words",
    "naïve café",
    "\N{FAMILY}\N{ZERO WIDTH JOINER}\N{GIRL} and \N{THUMBS UP SIGN}\N{EMOJI MODIFIER FITZPATRICK TYPE-4}!",
    "e\N{COMBINING ACUTE ACCENT} a\N{COMBINING RING ABOVE}",
    "漢字かな交じり文",
    "a \N{REPLACEMENT CHARACTER} that is meant",
    "",
]


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_joined_pieces_are_the_text(text: str, size: int) -> None:
    stream = TextStream(decode)
    data = list(text.encode())
    pieces = [stream.push(data[at : at + size]) for at in range(0, len(data), size)]
    if "that is meant" not in text:
        assert not any("\N{REPLACEMENT CHARACTER}" in piece for piece in pieces)
    assert "".join(pieces) + stream.flush() == text


def test_bytes_that_are_no_text_come_out_as_the_decoder_has_them() -> None:
    rng = random.Random(5)
    for _ in range(200):
        data = [rng.choice([65, 0xE2, 0x82, 0xAC, 0xFF, 0xF0, 0x9F, 300]) for _ in range(rng.randint(0, 14))]
        stream = TextStream(decode)
        assert "".join(stream.push([byte]) for byte in data) + stream.flush() == decode(data)


def test_characters_come_as_soon_as_they_are_whole() -> None:
    stream = TextStream(decode)
    assert [stream.push([byte]) for byte in "aé".encode()] == ["a", "", "é"]


def test_a_stop_string_is_never_shown_wherever_it_is_cut() -> None:
    for stop in ("STOP", "\n\n", "aab", "é!"):
        text = f"aa before {stop} after"
        data = list(text.encode())
        expected = text[: text.index(stop)]
        for size in range(1, len(data)):
            stream = TextStream(decode, [stop, "never"])
            shown = "".join(stream.push(data[at : at + size]) for at in range(0, len(data), size))
            assert shown + stream.flush() == expected
            assert stream.stopped == stop


def test_what_only_looked_like_a_stop_string_is_shown() -> None:
    stream = TextStream(decode, ["STOP"])
    assert [stream.push([byte]) for byte in b"aSTX"] == ["a", "", "", "STX"]
    assert stream.push(list(b"yST")) == "y"
    assert stream.flush() == "ST"


def test_the_earliest_stop_string_counts() -> None:
    stream = TextStream(decode, ["late", "early"])
    assert stream.push(list(b"x early late")) == "x "
    assert stream.stopped == "early"


def test_a_stop_string_can_be_kept() -> None:
    stream = TextStream(decode, ["STOP"], include_stop=True)
    assert stream.push(list(b"x STOP y")) == "x STOP"


def test_stop_strings_wait_for_min_tokens() -> None:
    stream = TextStream(decode, ["b"])
    assert stream.push(list(b"ab"), may_stop=False) == "ab"
    assert stream.stopped is None
    assert stream.push(list(b"ab")) == "a"
