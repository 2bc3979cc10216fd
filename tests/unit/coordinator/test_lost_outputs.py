"""A stage that is lost when the client has heard a part of the answer takes the outputs with it that need it, and no
other."""

import asyncio

import pytest
from tests.unit.coordinator.scripted import (
    World,
    ask,
    chain,
    edge,
    end_of,
    make_plan,
    omni,
    output,
    running,
    stage,
    texts,
)

from omnipipe.coordinator.live import LiveFlight
from omnipipe.errors import ErrorKind, RequestError
from omnipipe.observe.metrics import End
from omnipipe.spec.plan import EdgeKind, Plan


def speech(replicas: int = 1) -> Plan:
    """thinker, which owes `text` ~> talker ~> wave, which owes `audio`."""
    names = ("thinker", "talker", "wave")
    return make_plan(
        [stage(name, replicas) for name in names],
        [edge("thinker", "talker", EdgeKind.STREAM), edge("talker", "wave", EdgeKind.STREAM)],
        [output("text", "thinker"), output("audio", "wave")],
    )


def spoken(world: World) -> LiveFlight:
    """A request of which the client has had a word."""
    flight = world.open(ask(outputs=("text", "audio")))
    world["thinker"].out(0, "one")
    world.run()
    assert texts(flight.take()) == ["one"]
    return flight


def nothing_is_left(world: World) -> None:
    assert not world.dispatcher.ledger.attempts
    assert world.dispatcher.health().in_flight == 0
    for name in ("thinker", "talker", "wave"):
        assert not any(replica.pinned for replica in world.dispatcher.ledger.table.replicas(name))


def finish_text(world: World, flight: LiveFlight) -> None:
    world["thinker"].out(1, "two", last=True)
    world.run()
    assert texts(flight.take()) == ["two"]
    assert end_of(flight) == "result in part"
    nothing_is_left(world)
    assert world.metrics._ends[End.ERROR].value == 1


def test_the_text_goes_on_when_the_last_stage_of_the_sound_dies() -> None:
    world = World(speech())
    flight = spoken(world)
    rid = world["thinker"].rid()
    world["wave"].out(0, b"la", output="audio")
    world.run()
    assert texts(flight.take()) == [b"la"]
    world.kill("fake://wave-0")
    world.run()
    (piece,) = flight.take() or []
    assert (piece.output, piece.value, piece.last, piece.meta) == ("audio", None, True, None)
    assert flight.lost is not None
    assert flight.lost.code == "replica_lost"
    assert "'audio'" in flight.lost.message and "'wave'" in flight.lost.message
    assert world["talker"].cancels == [rid], "it works for the sound alone"
    assert world["thinker"].cuts == [(rid, "talker")]
    assert world["thinker"].cancels == []
    finish_text(world, flight)


def test_a_stage_that_fails_is_lost_to_its_request_alone() -> None:
    world = World(speech())
    other = spoken(world)
    flight = world.open(ask("r", outputs=("text", "audio")))
    world["thinker"].out(0, "uno", rid=world["thinker"].rid("r"))
    world.run()
    assert texts(flight.take()) == ["uno"]
    rid = world["talker"].rid()
    world["talker"].fail(rid=rid)
    world.run()
    assert (other.lost is not None, flight.lost) == (True, None)
    assert world["talker"].cancels == [], "it has freed it itself"
    assert world["wave"].cancels == [rid]
    assert world["thinker"].cuts == [(rid, "talker")]
    assert running(flight) and running(other)


def test_what_dropped_stages_still_say_was_on_its_way() -> None:
    world = World(speech())
    flight = spoken(world)
    world["talker"].fail()
    world["wave"].out(0, b"la", output="audio")
    world["wave"].fed()
    world["wave"].fail()
    world["thinker"].fail(retryable=True, target="talker")
    world.run()
    assert world.metrics.rejected.value == 0
    assert world.metrics.late_messages.value == 4
    assert texts(flight.take()) == [None]
    world.kill("fake://wave-0")
    world.kill("fake://talker-0")
    world.run()
    assert flight.take() is None
    finish_text(world, flight)


def test_a_stage_says_which_neighbour_it_lost() -> None:
    """The gateway may still reach that replica."""
    world = World(speech())
    flight = spoken(world)
    rid = world["thinker"].rid()
    world["thinker"].fail(kind="unavailable", retryable=True, target="talker")
    world.run()
    assert texts(flight.take()) == [None]
    assert world["talker"].cancels == world["wave"].cancels == [rid]
    finish_text(world, flight)


def test_a_neighbour_that_nobody_needs_any_more_is_no_loss() -> None:
    world = World(speech())
    flight = spoken(world)
    world["talker"].fed()
    world["wave"].fed()
    world["wave"].out(0, b"la", output="audio", last=True)
    world.run()
    assert texts(flight.take()) == [b"la"]
    world["thinker"].fail(kind="unavailable", retryable=True, target="talker")
    world.run()
    assert flight.take() is None
    world["thinker"].out(1, "two", last=True)
    world.run()
    assert end_of(flight) == "result"


def test_a_neighbour_that_does_not_exist_is_nonsense() -> None:
    world = World(speech())
    flight = spoken(world)
    world["thinker"].fail(target="wave")
    world.run()
    assert world.metrics.rejected.value == 1
    assert end_of(flight) == "internal"


def test_unseen_it_is_run_again() -> None:
    world = World(speech(2))
    flight = world.open(ask(outputs=("text", "audio")))
    first = world.holders()
    first["thinker"].fail(kind="unavailable", retryable=True, target="talker")
    world.run()
    again = world.holders()
    assert again["talker"] is not first["talker"]
    assert first["thinker"].cancels and not first["thinker"].cuts
    assert flight.retries == 1
    assert flight.lost is None


def test_what_the_lost_stage_leads_to_may_be_all_there_is() -> None:
    world = World(speech())
    silent = world.open(ask("s", outputs=("audio",)))
    world["wave"].out(0, b"la", output="audio", rid=world["wave"].rid("s"))
    world.run()
    assert texts(silent.take()) == [b"la"]
    flight = spoken(world)
    world.kill("fake://thinker-0")
    world.run()
    assert end_of(silent) == end_of(flight) == "unavailable"
    nothing_is_left(world)


def test_the_rest_may_be_lost_later() -> None:
    world = World(speech())
    flight = spoken(world)
    world.kill("fake://wave-0")
    world.run()
    world.kill("fake://thinker-0")
    world.run()
    assert end_of(flight) == "unavailable"
    nothing_is_left(world)


def test_a_client_that_leaves_after_a_loss_frees_what_is_left() -> None:
    world = World(speech())
    flight = spoken(world)
    rid = world["thinker"].rid()
    world.kill("fake://wave-0")
    world.run()
    flight.close()
    world.run()
    assert world["thinker"].cancels == [rid]
    nothing_is_left(world)


def test_a_reader_may_be_late_for_the_first_word() -> None:
    """A failure that no retry helps, in the same breath as the word before it."""
    world = World(speech())
    flight = world.open(ask(outputs=("text", "audio")))
    world["thinker"].out(0, "one")
    world["wave"].fail(kind="invalid")
    world.run()
    assert texts(flight.take()) == ["one", None]
    finish_text(world, flight)


async def test_a_reader_of_the_whole_gets_all_or_nothing() -> None:
    world = World(speech())
    flight = world.open(ask(outputs=("text", "audio")))
    world["thinker"].out(0, "one")
    world["wave"].fail()
    world.run()
    whole = asyncio.create_task(flight.whole())
    late = world.open(ask("late", outputs=("text", "audio")))
    other = asyncio.create_task(late.whole())
    await asyncio.sleep(0)
    world["thinker"].out(0, "one", rid=world["thinker"].rid("late"))
    world["wave"].fail(rid=world["wave"].rid("late"))
    world["thinker"].out(1, "two", last=True, rid=world["thinker"].rid())
    world.run()
    for task in (whole, other):
        with pytest.raises(RequestError) as caught:
            await task
        assert caught.value.kind is ErrorKind.INTERNAL
    assert late.lost is None, "nobody works on for it"
    nothing_is_left(world)


def test_what_has_been_fed_survives_its_source() -> None:
    world = World(omni())
    flight = world.open(ask(outputs=("text", "audio")))
    world["compose"].fed()
    world["compose"].out(0, "hi")
    world.run()
    assert texts(flight.take()) == ["hi"]
    world["ingest"].fail()
    world.run()
    assert end_of(flight) == "internal", "a Failed of a stage that has done its part is still the family's word"


def test_an_answer_of_one_output_fails_as_a_whole() -> None:
    world = World(chain())
    flight = world.open()
    world["third"].out(0, "hi")
    world.run()
    assert texts(flight.take()) == ["hi"]
    world.kill("fake://third-0")
    world.run()
    assert end_of(flight) == "unavailable"
