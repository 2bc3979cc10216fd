"""The words of a refusal: they say which side to upgrade or correct."""

import msgspec
import pytest

from omnipipe.wire.errors import BadMessage
from omnipipe.wire.handshake import check_direction, hello, refusal
from omnipipe.wire.messages import WIRE_VERSION, Ack, Beat, Cancel, Chunk, Hello, Message, Output, Submit
from omnipipe.wire.port import Identity, Role

STAGE = Identity("assistant", "r1", Role.STAGE, "thinker-0", "thinker")
GATEWAY = Identity("assistant", "r1", Role.GATEWAY, "gateway-1")


def said(**changes: object) -> Hello:
    return msgspec.structs.replace(hello(GATEWAY, "thinker", ""), **changes)


def test_a_match_is_welcome() -> None:
    assert refusal(said(), STAGE) is None


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"wire": WIRE_VERSION - 1},
            "wire version 2 dialled a stage that speaks 3: upgrade the dialling side (gateway-1)",
        ),
        (
            {"wire": WIRE_VERSION + 1},
            "wire version 4 dialled a stage that speaks 3: upgrade the listening side (thinker-0)",
        ),
        (
            {"pipeline": "painter"},
            "this is pipeline 'assistant', not 'painter': correct the address that gateway-1 dials, or the plan it "
            "was started with",
        ),
        (
            {"stage": "talker"},
            "this is stage 'thinker', not 'talker': correct the address of 'talker' in the plan that gateway-1 was "
            "started with",
        ),
        (
            {"revision": "r2"},
            "this is revision 'r1' of pipeline 'assistant', gateway-1 is of revision 'r2': restart whichever has the "
            "older plan",
        ),
    ],
    ids=lambda v: next(iter(v)) if isinstance(v, dict) else "",
)
def test_a_mismatch_is_refused_in_words(changes: dict[str, object], words: str) -> None:
    assert refusal(said(**changes), STAGE) == words


@pytest.mark.parametrize(
    ("message", "dialler", "allowed"),
    [
        (Submit("r", "q", 1.0, {}, {}, []), Role.GATEWAY, True),
        (Submit("r", "q", 1.0, {}, {}, []), Role.STAGE, False),
        (Submit("r", "q", 1.0, {}, {}, []), None, False),
        (Cancel("r"), Role.STAGE, False),
        (Chunk("r", "a", "in", 0, ""), Role.STAGE, True),
        (Chunk("r", "a", "in", 0, ""), Role.GATEWAY, False),
        (Output("r", "text", 0, ""), None, True),
        (Output("r", "text", 0, ""), Role.STAGE, False),
        (Ack("r", "in", 0), None, True),
        (Ack("r", "text", 0), Role.GATEWAY, True),
        (Ack("r", "text", 0), Role.STAGE, False),
        (Beat(), Role.STAGE, True),
        (hello(GATEWAY, "thinker", ""), Role.GATEWAY, False),
    ],
)
def test_each_side_may_say_its_own_part_only(message: Message, dialler: Role | None, allowed: bool) -> None:
    if allowed:
        check_direction(message, dialler=dialler)
    else:
        with pytest.raises(BadMessage):
            check_direction(message, dialler=dialler)
