"""One request in a stage, from Submit to its end."""

import pytest
from tests.unit.stage.stand import SINK, TAIL, Stand, plan, submit

from omnipipe.errors import ErrorKind
from omnipipe.wire.messages import Ack, Cancel, Chunk, Failed, Fed, Output, Payload


@pytest.fixture
def stand() -> Stand:
    return Stand()


def left(rid: str = "r1", value: object = "v") -> Payload:
    return Payload(rid, "left", "left", value)


def tick(seq: int, last: bool = False, rid: str = "r1", value: object = "t") -> Chunk:
    return Chunk(rid, "ticks", "ticks", seq, value, last)


def failed(stand: Stand) -> Failed:
    (message,) = stand.heard(stand.gateway, Failed)
    assert stand.router.live == 0
    assert stand.engine.load().queued == stand.engine.load().running == 0
    return message


def test_a_payload_in_an_answer_out(stand: Stand) -> None:
    stand.say(stand.gateway, submit())
    assert stand.heard(stand.gateway, Fed) == []
    stand.say(stand.left, left())
    assert stand.heard(stand.gateway, Output) == [Output("r1", "text", 0, "hello", True, None, fed=True)]
    assert stand.heard(stand.gateway, Fed) == [], "the output says it"
    assert stand.router.live == 0


def test_only_the_first_output_says_that_the_inputs_are_here(stand: Stand) -> None:
    stand.say(stand.gateway, submit(params={"port": "text", "count": 3}))
    stand.say(stand.left, left())
    assert [(o.seq, o.fed) for o in stand.heard(stand.gateway, Output)] == [(0, True), (1, False), (2, False)]
    assert stand.heard(stand.gateway, Fed) == []


def test_a_stage_at_work_says_at_once_that_it_has_its_inputs(stand: Stand) -> None:
    params = {"emit": [["notes", "n", True]], "wait": True}
    stand.say(stand.gateway, submit(sources=["left", "ticks"], targets={"tail": TAIL}, params=params))
    stand.say(stand.left, left())
    assert stand.heard(stand.gateway, Fed) == []
    stand.say(stand.gateway, submit("r2", targets={"tail": TAIL}, outputs=[], params={"port": "notes", "count": 9}))
    stand.say(stand.left, left("r2"))
    assert stand.router.live == 2, "its consumer has no room"
    assert stand.heard(stand.gateway, Fed) == [Fed("r2", "mid")]


@pytest.mark.parametrize("shared", [False, True])
def test_a_stage_that_is_through_leaves_it_to_its_consumers_unless_they_wait_for_others_too(shared: bool) -> None:
    """A consumer with another input to wait for says nothing yet; until then this stage's own sources may die."""
    base = plan()
    edge = next(edge for edge in base.edges if edge.target == "sink")
    other = edge.model_copy(update={"source": "left", "input": "more"})
    stand = Stand(base.model_copy(update={"edges": (*base.edges, other)}) if shared else base)
    stand.say(stand.gateway, submit(targets={"sink": SINK}, outputs=[], params={"emit": [["whole", "w"]]}))
    stand.say(stand.left, left())
    assert stand.heard(stand.sink, Payload) == [Payload("r1", "mid", "whole", "w")]
    assert stand.router.live == 0
    assert stand.heard(stand.gateway, Fed) == ([Fed("r1", "mid")] if shared else [])


def test_a_failure_says_enough(stand: Stand) -> None:
    stand.say(stand.gateway, submit(targets={"sink": SINK}, outputs=[], params={"fail": "x"}))
    stand.say(stand.left, left())
    assert failed(stand).kind == ErrorKind.INTERNAL
    assert stand.heard(stand.gateway, Fed) == []


def test_fan_in_waits_for_all_payloads(stand: Stand) -> None:
    stand.say(stand.gateway, submit(sources=["left", "right"]))
    stand.say(stand.left, left())
    assert stand.engine.load().steps == 0
    stand.say(stand.right, Payload("r1", "right", "right", 2))
    assert len(stand.heard(stand.gateway, Output)) == 1


def test_a_payload_may_come_before_its_submit(stand: Stand) -> None:
    stand.say(stand.left, left())
    stand.say(stand.gateway, submit())
    assert len(stand.heard(stand.gateway, Output)) == 1


def test_a_payload_whose_submit_does_not_come_is_given_up_and_a_late_submit_says_so(stand: Stand) -> None:
    stand.say(stand.left, left())
    stand.pass_time(6.0)
    assert stand.metrics.orphans_dropped.value == 1
    stand.say(stand.gateway, submit())
    message = failed(stand)
    assert (message.kind, message.retryable) == (ErrorKind.UNAVAILABLE, True)


def test_emissions_go_to_edges_and_outputs_of_the_walk_and_nowhere_else(stand: Stand) -> None:
    emit = [["text", "t", True], ["notes", "n", True], ["whole", "w", False], ["unknown", 1, True]]
    stand.say(
        stand.gateway,
        submit(targets={"tail": TAIL, "sink": SINK}, params={"emit": emit}),
        submit("r2", params={"emit": emit}),
    )
    stand.say(stand.left, left(), left("r2"))
    assert [o.rid for o in stand.heard(stand.gateway, Output)] == ["r1", "r2"]
    assert stand.heard(stand.tail, Chunk) == [Chunk("r1", "mid", "notes", 0, "n", True)]
    assert stand.heard(stand.sink, Payload) == [Payload("r1", "mid", "whole", "w")]
    assert stand.router.live == 0


def test_a_stream_in_becomes_a_stream_out_and_its_consumer_is_to_say_that_both_have_all(stand: Stand) -> None:
    stand.say(stand.gateway, submit(sources=["ticks"], targets={"tail": TAIL}, outputs=[], params={"copy": "notes"}))
    stand.say(stand.ticks, tick(0, value="a"), tick(1, value="b"))
    assert [(c.seq, c.value) for c in stand.heard(stand.tail, Chunk)] == [(0, "a"), (1, "b")]
    stand.say(stand.ticks, tick(2, last=True, value="c"))
    assert stand.heard(stand.gateway, Fed) == []
    assert [(c.seq, c.value, c.last) for c in stand.heard(stand.tail, Chunk)] == [(2, "c", False), (3, "end", True)]


def test_chunks_that_come_before_the_payload_wait_for_it(stand: Stand) -> None:
    stand.say(stand.gateway, submit(sources=["left", "ticks"], params={"copy": "text"}))
    stand.say(stand.ticks, tick(0, value="a"), tick(1, last=True, value="b"))
    stand.say(stand.left, left())
    assert [o.value for o in stand.heard(stand.gateway, Output)] == ["a", "b", "end"]


def test_a_gap_fails_the_request_and_a_duplicate_does_not(stand: Stand) -> None:
    stand.say(stand.gateway, submit(sources=["ticks"], params={"copy": "text"}))
    stand.say(stand.ticks, tick(0), tick(0), tick(1))
    assert len(stand.heard(stand.gateway, Output)) == 2
    assert stand.rejected == 1
    stand.say(stand.ticks, tick(3))
    assert failed(stand).retryable


def test_a_second_payload_is_ignored(stand: Stand) -> None:
    stand.say(stand.gateway, submit(sources=["left", "right"]))
    stand.say(stand.left, left(value=1), left(value=2))
    assert stand.rejected == 1
    stand.say(stand.right, Payload("r1", "right", "right", 2))
    assert len(stand.heard(stand.gateway, Output)) == 1


def test_cancel_frees_everywhere_and_late_input_does_not_revive(stand: Stand) -> None:
    stand.say(stand.gateway, submit(sources=["left", "ticks"], params={"copy": "text"}))
    stand.say(stand.left, left())
    stand.say(stand.ticks, tick(0))
    assert stand.engine.load().running == 1
    stand.say(stand.gateway, Cancel("r1", "client left"))
    assert stand.router.live == 0
    assert stand.engine.load().running == 0
    stand.say(stand.ticks, tick(1))
    stand.say(stand.left, left())
    stand.pass_time(10.0)
    assert stand.metrics.orphans_dropped.value == 0
    assert stand.heard(stand.gateway, Failed) == []


def test_a_cancel_of_an_unknown_request_forgets_its_early_payload(stand: Stand) -> None:
    stand.say(stand.left, left())
    stand.say(stand.gateway, Cancel("r1"))
    stand.pass_time(10.0)
    assert stand.metrics.orphans_dropped.value == 0


def test_past_its_deadline_a_request_fails_even_without_input(stand: Stand) -> None:
    stand.say(stand.gateway, submit(ttl_s=5.0))
    stand.pass_time(4.9)
    assert stand.router.live == 1
    stand.pass_time(0.2)
    assert failed(stand).kind == ErrorKind.DEADLINE


def test_the_deadline_of_one_that_is_gone_costs_one_look(stand: Stand) -> None:
    stand.say(stand.gateway, submit(ttl_s=5.0), submit("r2", ttl_s=50.0), Cancel("r1"))
    assert stand.router.next_due() == stand.now + 5.0
    stand.pass_time(5.0)
    assert stand.router.next_due() == stand.now + 45.0
    assert stand.heard(stand.gateway, Failed) == []


def test_heartbeats_of_others_are_no_reason_to_report(stand: Stand) -> None:
    stand.pass_time(0.1)
    assert not stand.loop._changed
    stand.tail.set_load(progress=1, step_s=0.0, queued=0, running=1, accepting=False)
    stand.tail.poll(0)
    assert stand.wire._inbox
    stand.loop.turn()
    assert not stand.loop._changed


@pytest.mark.parametrize("ttl_s", [0.0, -1.0, float("nan")])
def test_a_submit_past_its_deadline_fails_at_once(stand: Stand, ttl_s: float) -> None:
    stand.say(stand.gateway, submit(ttl_s=ttl_s))
    assert failed(stand).kind == ErrorKind.DEADLINE


def test_a_program_that_fails_tells_nothing_of_itself(stand: Stand, caplog: pytest.LogCaptureFixture) -> None:
    stand.say(stand.gateway, submit(params={"fail": "/secret"}))
    stand.say(stand.left, left())
    message = failed(stand)
    assert (message.kind, message.message, message.retryable) == (ErrorKind.INTERNAL, "stage 'mid' failed", False)
    assert "/secret" in caplog.text


@pytest.mark.parametrize(
    "emit", [[], [["text", "a", False]], [["text", "a", True], ["text", "b", True]], [["whole", 1], ["whole", 2]]]
)
def test_a_program_that_ends_too_early_or_goes_on_after_the_end_fails_its_request(
    stand: Stand, caplog: pytest.LogCaptureFixture, emit: list[object]
) -> None:
    stand.say(stand.gateway, submit(targets={"sink": SINK}, params={"emit": emit}))
    stand.say(stand.left, left())
    assert failed(stand).message == "stage 'mid' failed"


def test_the_whole_value_of_an_output_may_be_larger_than_its_window(stand: Stand) -> None:
    stand.say(stand.gateway, submit(params={"emit": [["text", "x" * 5000, True]]}))
    stand.say(stand.left, left())
    assert len(stand.heard(stand.gateway, Output)) == 1
    assert stand.router.live == 0


def test_a_full_stage_refuses() -> None:
    stand = Stand(plan(max_running=1))
    stand.say(stand.gateway, submit("r1"))
    assert not stand.router.accepting
    stand.say(stand.gateway, submit("r2"))
    (message,) = stand.heard(stand.gateway, Failed)
    assert (message.rid, message.kind, message.retryable) == ("r2", ErrorKind.UNAVAILABLE, True)
    stand.say(stand.left, left())
    assert len(stand.heard(stand.gateway, Output)) == 1
    assert stand.router.accepting


def test_done_before_its_stream_has_ended_lets_the_producer_finish(stand: Stand) -> None:
    stand.say(stand.gateway, submit(sources=["ticks"]))
    assert len(stand.heard(stand.gateway, Output)) == 1
    assert stand.heard(stand.gateway, Fed) == [Fed("r1", "mid")]
    stand.say(stand.ticks, *(tick(seq) for seq in range(3)))
    assert stand.heard(stand.ticks, Ack)[-1] == Ack("r1", "ticks", 2)
    assert len(stand.router._inbound._orphans) == 0


def test_an_entry_stage_takes_the_request_from_the_submit() -> None:
    base = plan()
    entry = base.model_copy(update={"edges": tuple(e for e in base.edges if e.target != "mid")})
    stand = Stand(entry)
    stand.say(stand.gateway, submit(sources=[], value={"text": "hi"}))
    assert len(stand.heard(stand.gateway, Output)) == 1
    assert stand.heard(stand.gateway, Fed) == []
