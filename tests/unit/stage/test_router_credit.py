"""Credit: a slow consumer pauses its own request, in bounded memory, and nobody else's."""

import pytest
from tests.unit.stage.stand import TAIL, Stand, submit

from omnipipe.errors import ErrorKind
from omnipipe.wire.messages import Ack, Chunk, Failed, Output, Payload


@pytest.fixture
def stand() -> Stand:
    return Stand()


def start(stand: Stand, rid: str = "r1", **params: object) -> None:
    stand.say(stand.gateway, submit(rid, params={"port": "text", "count": 20, **params}))
    stand.say(stand.left, Payload(rid, "left", "left", 1))


def test_a_window_of_chunks_goes_out_and_the_engine_stands_still(stand: Stand) -> None:
    start(stand)
    assert [o.seq for o in stand.heard(stand.gateway, Output)] == [0, 1, 2, 3]
    assert stand.engine.load().steps == 4
    start(stand, "r2", count=3)
    assert len(stand.heard(stand.gateway, Output)) == 3
    assert stand.router.live == 1


def test_acks_are_cumulative_and_late_ones_harmless(stand: Stand) -> None:
    start(stand)
    stand.heard(stand.gateway, Output)
    stand.say(stand.gateway, Ack("r1", "text", 1))
    assert [o.seq for o in stand.heard(stand.gateway, Output)] == [4, 5]
    stand.say(stand.gateway, Ack("r1", "text", 0), Ack("r1", "text", 1))
    assert stand.heard(stand.gateway, Output) == []
    stand.say(stand.gateway, Ack("r1", "text", 5))
    assert [o.seq for o in stand.heard(stand.gateway, Output)] == [6, 7, 8, 9]
    assert stand.rejected == 0


def test_the_end_is_reached_in_order_with_its_meta(stand: Stand) -> None:
    start(stand)
    got: list[Output] = []
    while new := stand.heard(stand.gateway, Output):
        got += new
        stand.say(stand.gateway, Ack("r1", "text", new[-1].seq))
    assert [o.seq for o in got] == list(range(20))
    assert [o.last for o in got] == [False] * 19 + [True]
    assert got[-1].meta == {"n": 20}
    assert stand.router.live == 0


def test_bytes_are_a_window_too_and_one_chunk_may_always_go(stand: Stand) -> None:
    start(stand, size=600)
    assert len(stand.heard(stand.gateway, Output)) == 2
    stand.say(stand.gateway, Ack("r1", "text", 0))
    assert len(stand.heard(stand.gateway, Output)) == 1
    start(stand, "r2", size=50_000)
    assert len(stand.heard(stand.gateway, Output)) == 1


def test_what_one_step_emits_beyond_the_window_is_kept_in_order(stand: Stand) -> None:
    emit = [["text", str(n), n == 9] for n in range(10)]
    start(stand, emit=emit, count=0)
    assert [o.value for o in stand.heard(stand.gateway, Output)] == list("0123")
    assert stand.router.live == 1
    stand.say(stand.gateway, Ack("r1", "text", 3))
    stand.say(stand.gateway, Ack("r1", "text", 7))
    assert [o.value for o in stand.heard(stand.gateway, Output)] == list("456789")
    assert stand.router.live == 0


def test_the_slowest_consumer_sets_the_pace(stand: Stand) -> None:
    emit = [["text", "t", False]]
    stand.say(
        stand.gateway, submit(targets={"tail": TAIL}, params={"emit": emit, "port": "notes", "count": 9, "wait": True})
    )
    stand.say(stand.left, Payload("r1", "left", "left", 1))
    assert len(stand.heard(stand.tail, Chunk)) == 4
    stand.say(stand.gateway, Ack("r1", "text", 0))
    assert stand.heard(stand.tail, Chunk) == []
    stand.say(stand.tail, Ack("r1", "notes", 3))
    assert len(stand.heard(stand.tail, Chunk)) == 4


@pytest.mark.parametrize("seq", [4, 99, -1])
def test_an_ack_of_what_was_not_sent_is_nonsense(stand: Stand, seq: int) -> None:
    start(stand)
    stand.heard(stand.gateway, Output)
    stand.say(stand.gateway, Ack("r1", "text", seq), Ack("r1", "audio", 0))
    assert stand.rejected == 2
    assert stand.heard(stand.gateway, Output) == []


def test_an_ack_from_somebody_else_is_nonsense(stand: Stand) -> None:
    start(stand)
    other = stand.add_gateway("other")
    stand.settle()
    stand.heard(stand.gateway, Output)
    stand.say(other, Ack("r1", "text", 3))
    assert stand.rejected == 1
    assert stand.heard(stand.gateway, Output) == []


def copying(stand: Stand) -> None:
    stand.say(stand.gateway, submit(sources=["ticks"], params={"copy": "nowhere"}, outputs=[]))


def test_the_producer_gets_credit_back_by_the_half_window(stand: Stand) -> None:
    copying(stand)
    stand.say(stand.ticks, Chunk("r1", "ticks", "ticks", 0, "x"))
    assert stand.heard(stand.ticks, Ack) == []
    stand.say(stand.ticks, Chunk("r1", "ticks", "ticks", 1, "x"))
    assert stand.heard(stand.ticks, Ack) == [Ack("r1", "ticks", 1)]


def test_large_chunks_are_acknowledged_by_their_bytes(stand: Stand) -> None:
    """Otherwise a producer whose window of bytes is full would wait for ever for half a window of chunks."""
    copying(stand)
    stand.say(stand.ticks, Chunk("r1", "ticks", "ticks", 0, "x" * 5000))
    assert stand.heard(stand.ticks, Ack) == [Ack("r1", "ticks", 0)]


def test_a_stage_that_is_paused_takes_no_chunks_and_so_pauses_its_producer(stand: Stand) -> None:
    stand.say(stand.gateway, submit(sources=["ticks"], params={"copy": "text"}))
    acked = -1
    for seq in range(8):
        if seq - acked > 4:
            break
        stand.say(stand.ticks, Chunk("r1", "ticks", "ticks", seq, "x"))
        acked = max([acked, *(ack.seq for ack in stand.heard(stand.ticks, Ack))])
    assert len(stand.heard(stand.gateway, Output)) == 4
    assert acked == 3


def test_a_producer_without_credit_fails_its_request_only(stand: Stand, caplog: pytest.LogCaptureFixture) -> None:
    stand.say(stand.gateway, submit("r2"))
    stand.say(stand.gateway, submit(sources=["left", "ticks"], params={"copy": "text"}))
    stand.say(stand.ticks, *(Chunk("r1", "ticks", "ticks", seq, "x") for seq in range(5)))
    (message,) = stand.heard(stand.gateway, Failed)
    assert (message.rid, message.kind) == ("r1", ErrorKind.INTERNAL)
    assert stand.router.live == 1
