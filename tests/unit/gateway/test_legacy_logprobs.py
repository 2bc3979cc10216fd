"""The legacy shape of log probabilities: a first token without one, offsets in the text, tokens inside a character."""

from omnipipe.families.text_pieces import LogprobPiece
from omnipipe.gateway.openai.logprobs import LegacyLogprobs, LegacyWriter


def piece(spelt: bytes, logprob: float = -1.0, *top: LogprobPiece, **more: bool) -> LogprobPiece:
    made: LogprobPiece = {
        "token": spelt.decode(errors="replace"), "bytes": list(spelt), "logprob": logprob, "id": 0, "top": list(top),
    }  # fmt: skip
    return {**made, **more}  # type: ignore[typeddict-item]


def test_the_first_token_of_a_prompt_has_none() -> None:
    found = LegacyWriter(0).shape([piece(b"He", 0.0, first=True), piece(b"llo", -2.0, piece(b"y", -0.5))])
    assert found == LegacyLogprobs(["He", "llo"], [None, -2.0], [None, {"y": -0.5, "llo": -2.0}], [0, 2])


def test_what_the_text_does_not_show_takes_no_room_in_it() -> None:
    writer = LegacyWriter(0)
    found = writer.shape([piece(b"<s>", 0.0, first=True, unseen=True), piece(b"Hi"), piece(b" you")])
    assert found.text_offset == [0, 0, 2]
    assert writer.shape([piece(b"</s>", unseen=True)]).text_offset == [6]


def test_tokens_inside_a_character_are_spelt_in_bytes() -> None:
    halves = [piece(b"\xc3", -1.0, piece(b"\xe2", -0.5)), piece(b"\xa9"), piece(b"!")]
    found = LegacyWriter(0).shape(halves)
    assert found.tokens == ["bytes:\\xc3", "bytes:\\xa9", "!"]
    assert found.top_logprobs[0] == {"bytes:\\xe2": -0.5, "bytes:\\xc3": -1.0}  # two, though neither is a character
    assert found.text_offset == [0, 0, 1]
