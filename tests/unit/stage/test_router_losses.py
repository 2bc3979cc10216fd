"""A request goes on without a consumer that is lost, as long as it owes anything to others."""

from typing import Any

import pytest
from tests.unit.stage.stand import SINK, TAIL, Stand, submit

from omnipipe.wire.messages import Ack, Cancel, Chunk, Failed, Fed, Output, Payload, Submit


@pytest.fixture
def stand() -> Stand:
    return Stand()


def both(rid: str = "r1", count: int = 9) -> Submit:
    """Two words to `text`, and between them so many notes to `tail`."""
    emit = [["text", "hello", False], *(["notes", n, n == count - 1] for n in range(count)), ["text", "end", True]]
    return submit(rid, targets={"tail": TAIL}, params={"emit": emit})


_TWO_EDGES = [["whole", "w"], ["notes", 1, True]]


def left(rid: str = "r1") -> Payload:
    return Payload(rid, "left", "left", 1)


def said(stand: Stand) -> list[Any]:
    return [output.value for output in stand.heard(stand.gateway, Output)]


def test_a_dead_consumer_takes_only_its_edge(stand: Stand) -> None:
    stand.say(stand.gateway, submit(targets={"tail": TAIL}, params={"port": "text", "count": 9}))
    stand.say(stand.left, left())
    assert said(stand) == ["0", "1", "2", "3"]
    stand.network.kill(stand.tail)
    stand.settle()
    (lost,) = stand.heard(stand.gateway, Failed)
    assert (lost.rid, lost.stage, lost.target, lost.retryable) == ("r1", "mid", "tail", True)
    assert stand.router.live == 1
    stand.say(stand.gateway, Ack("r1", "text", 3))
    stand.say(stand.gateway, Ack("r1", "text", 7))
    assert said(stand) == ["4", "5", "6", "7", "8"]
    assert stand.heard(stand.gateway, Failed) == []


def test_one_that_stood_still_for_its_dead_consumer_goes_on(stand: Stand) -> None:
    """Its notes fill the window of `tail`: what was said after them waits, and then nothing waits any more."""
    stand.say(stand.gateway, both())
    stand.say(stand.left, left())
    assert stand.router.live == 1
    assert len(stand.heard(stand.tail, Chunk)) == 4
    stand.network.kill(stand.tail)
    stand.settle()
    assert said(stand) == ["hello", "end"]
    assert stand.router.live == 0
    assert stand.engine.load().running == 0


def test_the_gateway_may_give_up_an_edge(stand: Stand) -> None:
    params = {"emit": [["text", "hello", False], ["text", "end", True]], "port": "notes", "count": 40}
    stand.say(stand.gateway, submit(targets={"tail": TAIL}, outputs=["text"], params=params), both("r2"))
    stand.say(stand.left, left(), left("r2"))
    stand.say(stand.gateway, Cancel("r2", "lost", "tail"))
    assert [output.rid for output in stand.heard(stand.gateway, Output)].count("r2") == 2
    assert stand.router.live == 1, "the other request waits for its consumer"
    stand.say(stand.gateway, Cancel("r1", "lost", "tail"))
    assert stand.router.live == 0, "it owes nothing but notes"
    assert stand.engine.load().running == 0
    assert stand.heard(stand.gateway, Failed) == []


def test_late_credit_of_a_lost_consumer_is_harmless(stand: Stand) -> None:
    params = {"port": "text", "count": 9, "emit": [["notes", "a", False]]}
    stand.say(stand.gateway, submit(targets={"tail": TAIL}, params=params))
    stand.say(stand.left, left())
    stand.say(stand.gateway, Cancel("r1", "lost", "tail"), Cancel("r1", "lost", "tail"))
    stand.say(stand.tail, Ack("r1", "notes", 0))
    assert stand.rejected == 0
    stand.say(stand.gateway, Ack("r1", "text", 3))
    stand.say(stand.gateway, Ack("r1", "text", 7))
    assert said(stand)[-1] == "8"
    assert stand.router.live == 0


def test_a_cut_edge_ends_only_once(stand: Stand) -> None:
    """All three ways out, two of them given up one after the other."""
    emit = [["whole", "w"], ["notes", 1, True], ["text", "end", True]]
    stand.network.kill(stand.sink)
    stand.network.kill(stand.tail)
    stand.settle()
    stand.say(stand.gateway, submit(targets={"tail": TAIL, "sink": SINK}, params={"emit": emit}))
    stand.say(stand.gateway, Cancel("r1", "lost", "sink"))
    stand.say(stand.left, left())
    assert said(stand) == ["end"]
    stand.pass_time(2.1)
    (lost,) = stand.heard(stand.gateway, Failed)
    assert (lost.target, stand.router.live) == ("", 0), "nothing else was owed by then"


def test_one_that_lost_a_consumer_says_itself_that_it_is_fed(stand: Stand) -> None:
    """The lost one will not say it in its place."""
    stand.say(stand.gateway, submit(targets={"tail": TAIL, "sink": SINK}, outputs=[], params={"emit": _TWO_EDGES}))
    stand.say(stand.gateway, Cancel("r1", "lost", "sink"))
    stand.say(stand.left, left())
    assert stand.router.live == 0
    assert stand.heard(stand.gateway, Fed) == [Fed("r1", "mid")]


def test_one_that_waits_for_a_connection_says_itself_that_it_is_fed(stand: Stand) -> None:
    stand.network.kill(stand.sink)
    stand.settle()
    stand.say(stand.gateway, submit(targets={"tail": TAIL, "sink": SINK}, outputs=[], params={"emit": _TWO_EDGES}))
    stand.say(stand.left, left())
    assert stand.router.live == 1
    assert stand.heard(stand.gateway, Fed) == [Fed("r1", "mid")]


def test_a_gateway_cuts_its_own_requests_alone(stand: Stand) -> None:
    other = stand.add_gateway("other")
    stand.settle()
    stand.say(stand.gateway, both())
    stand.say(stand.left, left())
    stand.say(other, Cancel("r1", "lost", "tail"))
    assert (stand.rejected, stand.router.live) == (1, 1)
