"""One request from submit to its end, with stages that do as they should."""

import pytest
from msgspec.structs import replace
from tests.unit.coordinator.scripted import World, ask, chain, end_of, omni, texts

from omnipipe.errors import ErrorKind, RequestError
from omnipipe.wire.messages import Ack


def test_each_stage_is_told_its_own_part() -> None:
    world = World(omni(2))
    world.open(ask(outputs=("text", "audio"), stage_params={"left": {"delay_s": 1}}, timeout_s=7.0))
    on = world.holders()
    told = {name: replica.submits[replica.rid()][1] for name, replica in on.items()}
    assert set(told) == {"ingest", "left", "right", "compose", "synth"}
    assert len({submit.rid for submit in told.values()}) == 1
    assert all(submit.request_id == "q" and submit.ttl_s == 7.0 for submit in told.values())
    assert told["ingest"].value == {"say": "hello"}
    assert all(told[name].value is None for name in ("left", "right", "compose", "synth"))
    assert told["ingest"].targets == {"left": on["left"].address, "right": on["right"].address}
    assert set(told["compose"].sources) == {"left", "right"}
    assert told["compose"].sources["left"].startswith(on["left"].address)
    assert told["compose"].targets == {"synth": on["synth"].address}
    assert (told["compose"].outputs, told["synth"].outputs) == (["text"], ["audio"])
    assert told["left"].params == {"delay_s": 1}
    assert told["right"].params is None


def test_pieces_come_in_order_and_end_once() -> None:
    world = World(chain())
    flight = world.open()
    assert flight.take() is None
    third = world["third"]
    third.out(0, "a")
    third.out(1, "b")
    world.run()
    assert texts(flight.take()) == ["a", "b"]
    assert flight.take() is None
    third.out(2, "c", last=True)
    world.run()
    pieces = flight.take()
    assert texts(pieces) == ["c"]
    assert pieces is not None and pieces[0].last and pieces[0].meta == {"finish_reason": "stop"}
    assert flight.take() == []
    assert flight.take() == []
    assert world.dispatcher.health().in_flight == 0


def test_the_result_is_complete_when_all_outputs_are() -> None:
    world = World(omni())
    flight = world.open(ask(outputs=("text", "audio")))
    world["compose"].out(0, "hi", last=True)
    world.run()
    assert texts(flight.take()) == ["hi"]
    assert flight.take() is None
    world["synth"].out(0, b"beep", output="audio")
    world["synth"].out(1, b"", output="audio", last=True)
    world.run()
    assert texts(flight.take()) == [b"beep", b""]
    assert flight.take() == []


def test_a_finished_request_tells_nobody_when_all_were_fed() -> None:
    world = World(chain())
    world.open()
    world["second"].fed()
    world["third"].fed()
    world["third"].out(0, last=True)
    world.run()
    assert not any(replica.cancels for replica in world.replicas.values())


def test_a_stage_that_fed_the_next_must_have_been_fed() -> None:
    world = World(chain())
    world.open()
    world["third"].fed()
    world["third"].out(0, last=True)
    world.run()
    assert not any(replica.cancels for replica in world.replicas.values()), "the second stage's word is only late"


def test_a_finished_request_frees_stages_whose_output_nobody_waits_for() -> None:
    world = World(chain())
    world.open()
    world["third"].out(0, last=True)
    world.run()
    assert world["first"].cancels and world["second"].cancels
    assert not world["third"].cancels


def test_close_cancels_everywhere_and_is_idempotent() -> None:
    world = World(chain())
    flight = world.open()
    world["third"].out(0)
    world.run()
    flight.close()
    flight.close()
    world.run()
    for name in ("first", "second", "third"):
        assert world[name].cancels == [world[name].rid()]
    assert flight.take() == []
    world["third"].out(1, last=True)
    world.run()
    assert flight.take() == []
    assert world.metrics.late_messages.value == 1
    assert world.metrics.cancels.value == 1
    assert world.dispatcher.health().in_flight == 0


def test_close_after_the_end_does_nothing() -> None:
    world = World(chain())
    flight = world.open()
    world["second"].fed()
    world["third"].fed()
    world["third"].out(0, last=True)
    world.run()
    flight.close()
    world.run()
    assert not world["first"].cancels
    assert world.metrics.cancels.value == 0


def test_a_stage_that_fails_ends_the_request_in_its_words() -> None:
    world = World(chain())
    flight = world.open()
    world["second"].fail(kind="invalid")
    world.run()
    with pytest.raises(RequestError, match="it broke") as caught:
        flight.take()
    assert caught.value.kind is ErrorKind.INVALID
    assert world["first"].cancels and world["third"].cancels
    assert not world["second"].cancels, "who failed has freed it already"


def test_an_unknown_kind_of_failure_is_internal() -> None:
    world = World(chain())
    flight = world.open()
    world["second"].fail(kind="sunspots")
    world.run()
    assert end_of(flight) == "internal"


def test_what_came_before_a_failure_is_handed_over_first() -> None:
    world = World(chain())
    flight = world.open()
    world["third"].out(0, "a")
    world.run()
    flight.take()
    world["third"].out(1, "b")
    world["third"].fail()
    world.run()
    assert texts(flight.take()) == ["b"]
    with pytest.raises(RequestError):
        flight.take()


def test_the_deadline_of_the_request() -> None:
    world = World(chain())
    flight = world.open(ask(timeout_s=2.0))
    world.after(1.9)
    assert flight.take() is None
    world.after(0.2)
    with pytest.raises(RequestError, match="within its 2 seconds") as caught:
        flight.take()
    assert caught.value.kind is ErrorKind.DEADLINE
    assert all(world[name].cancels for name in ("first", "second", "third"))


def test_the_pipelines_limit_holds_too() -> None:
    world = World(chain(request_timeout_s=3.0))
    flight = world.open(ask(timeout_s=100.0))
    assert world["first"].submits[world["first"].rid()][1].ttl_s == 3.0
    world.after(3.1)
    assert end_of(flight) == "deadline"


def test_params_for_a_stage_that_takes_no_part_are_refused() -> None:
    world = World(omni())
    with pytest.raises(RequestError, match="Stage 'synth' takes no part in this request") as caught:
        world.open(ask(stage_params={"synth": {"fail": True}}))
    assert (caught.value.kind, caught.value.param) == (ErrorKind.INVALID, "stage_params")


def test_a_value_that_cannot_travel_ends_its_own_request() -> None:
    world = World(chain())
    with pytest.raises(RequestError) as caught:
        world.open(replace(ask(), value={"say": object()}))
    assert caught.value.kind is ErrorKind.INTERNAL
    assert world.dispatcher.health().in_flight == 0
    world.open(ask("next"))


def test_credit_comes_back_for_what_the_reader_takes() -> None:
    world = World(chain(window_chunks=8))
    flight = world.open()
    third = world["third"]
    for seq in range(8):
        third.out(seq)
    world.run()
    assert third.acks == [], "a reader that takes nothing gives no credit"
    flight.take()
    world.run()
    assert third.acks == [Ack(third.rid(), "text", 7)]
    for seq in range(8, 11):
        third.out(seq)
        world.run()
        flight.take()
    world.run()
    assert len(third.acks) == 1, "small pieces are acknowledged by the half window"
    third.out(11)
    world.run()
    flight.take()
    world.run()
    assert third.acks[1:] == [Ack(third.rid(), "text", 11)]


def test_heavy_pieces_are_acknowledged_as_they_are_taken() -> None:
    world = World(chain(window_chunks=64))
    flight = world.open()
    third = world["third"]
    third.out(0, b"\0" * 1000)
    world.run()
    flight.take()
    third.out(1, "long" * 20_000)
    world.run()
    flight.take()
    world.run()
    assert [ack.seq for ack in third.acks] == [0, 1]


def test_a_stage_that_sends_beyond_its_credit_is_not_believed() -> None:
    world = World(chain(window_chunks=4))
    flight = world.open()
    for seq in range(5):
        world["third"].out(seq)
    world.run()
    assert texts(flight.take()) == ["x"] * 4
    assert end_of(flight) == "internal"
    assert world.metrics.rejected.value == 1


def test_a_window_of_one_piece_goes_on() -> None:
    world = World(chain(window_chunks=1))
    flight = world.open()
    for seq in range(5):
        world["third"].out(seq)
        world.run()
        assert texts(flight.take()) == ["x"]
        world.run()
        assert world["third"].acks[-1].seq == seq
