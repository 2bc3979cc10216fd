"""Who may start when, and who is turned away with which words."""

from typing import Unpack

import pytest
from tests.unit.coordinator.scripted import Limits, World, ask, chain, edge, end_of, make_plan, output, running, stage

from omnipipe.coordinator.admission import Admission
from omnipipe.coordinator.live import LiveFlight
from omnipipe.coordinator.starts import REPLICA_WAIT_S
from omnipipe.errors import ErrorKind, RequestError
from omnipipe.observe.metrics import End, Refusal


def finish(world: World, request_id: str) -> None:
    third = world["third"]
    third.out(0, last=True, rid=third.rid(request_id))
    world.run()


def full_world(**limits: Unpack[Limits]) -> tuple[World, LiveFlight]:
    limits["max_in_flight"] = 1
    world = World(chain(**limits))
    return world, world.open(ask("runs"))


def test_beyond_the_queue_is_overloaded_with_a_time_to_come_back() -> None:
    world, _ = full_world(max_queued=1)
    world.open(ask("queued"))
    with pytest.raises(RequestError) as caught:
        world.open(ask("too many"))
    assert caught.value.kind is ErrorKind.OVERLOADED
    assert caught.value.retry_after_s == 1.0
    assert world.metrics._refused[Refusal.QUEUE_FULL].value == 1
    health = world.dispatcher.health()
    assert (health.in_flight, health.queued) == (1, 1)


def test_no_queue_at_all() -> None:
    world, _ = full_world(max_queued=0)
    with pytest.raises(RequestError) as caught:
        world.open(ask("too many"))
    assert caught.value.kind is ErrorKind.OVERLOADED


def test_the_queue_is_served_in_order() -> None:
    world, _ = full_world()
    waiting = [world.open(ask(f"w{i}")) for i in range(3)]
    assert not any(running(flight) for flight in waiting)
    for done, started in (("runs", 0), ("w0", 1), ("w1", 2)):
        finish(world, done)
        assert running(waiting[started])
        assert all(not running(flight) for flight in waiting[started + 1 :])


def test_waiting_has_an_end() -> None:
    world, _ = full_world(queue_timeout_s=3.0)
    flight = world.open(ask("waits"))
    world.after(3.1)
    with pytest.raises(RequestError) as caught:
        flight.take()
    assert caught.value.kind is ErrorKind.OVERLOADED
    assert world.metrics._refused[Refusal.QUEUE_TIMEOUT].value == 1
    assert world.metrics._ends[End.ERROR].value == 0
    assert world.dispatcher.health().queued == 0


def test_a_deadline_holds_in_the_queue() -> None:
    world, _ = full_world()
    flight = world.open(ask("waits", timeout_s=1.0))
    world.after(1.1)
    assert end_of(flight) == "deadline"


def test_leaving_the_queue_makes_room_in_it() -> None:
    world, runs = full_world(max_queued=1)
    world.open(ask("leaves")).close()
    flight = world.open(ask("next"))
    runs.close()
    assert running(flight)
    world.run()
    assert "leaves" not in {submit.request_id for _, submit in world["first"].submits.values()}


def test_a_closed_request_frees_its_slot() -> None:
    world, runs = full_world()
    flight = world.open(ask("waits"))
    runs.close()
    assert running(flight)


def test_retry_after_follows_the_service_time() -> None:
    admission: Admission[str] = Admission(max_in_flight=2, max_queued=100)
    assert admission.retry_after_s() == 1.0
    for _ in range(20):
        admission.take_slot("x")
        admission.free_slot(8.0)
    for i in range(3):
        admission.join(str(i))
    assert admission.retry_after_s() == pytest.approx(8.0 * 4 / 2)
    for i in range(3, 100):
        admission.join(str(i))
    assert admission.retry_after_s() == 60.0


def test_a_stage_without_replicas_is_waited_for_and_then_unavailable() -> None:
    world = World(chain(), start=False)
    for name in ("first", "third"):
        world.boot(f"fake://{name}-0")
    world.run()
    flight = world.open()
    assert not running(flight)
    world.after(REPLICA_WAIT_S + 0.1)
    with pytest.raises(RequestError, match="Stage 'second' has no replica") as caught:
        flight.take()
    assert caught.value.kind is ErrorKind.UNAVAILABLE
    assert caught.value.retry_after_s is not None
    assert world.metrics._refused[Refusal.NO_REPLICA].value == 1
    with pytest.raises(RequestError, match="Stage 'second'"):
        world.open(ask("later"))  # down for long: at once


def test_a_stage_that_comes_back_serves_who_waits() -> None:
    world = World(chain(), start=False)
    for name in ("first", "third"):
        world.boot(f"fake://{name}-0")
    world.run()
    flight = world.open()
    world.after(2.0)
    world.boot("fake://second-0")
    world.run()
    assert running(flight)


def test_the_queue_timeout_bounds_the_wait_for_a_replica() -> None:
    world = World(chain(queue_timeout_s=1.0), start=False)
    flight = world.open()
    world.after(1.1)
    assert end_of(flight) == "unavailable"


def test_a_request_that_needs_less_goes_past_one_that_waits_for_a_stage() -> None:
    plan = make_plan(
        [stage("think"), stage("speak")],
        [edge("think", "speak")],
        [output("text", "think"), output("audio", "speak")],
    )
    world = World(plan)
    world.kill("fake://speak-0")
    world.run()
    audio = world.open(ask("audio", outputs=("audio",)))
    text = world.open(ask("text"))
    assert not running(audio)
    assert running(text)
    world.boot("fake://speak-0")
    world.run()
    assert running(audio)


def test_a_loading_replica_gets_nothing_until_it_accepts() -> None:
    world = World(chain())
    world["second"].load(accepting=False)
    world.run()
    assert not world.dispatcher.health().ready
    flight = world.open()
    assert not running(flight)
    world["second"].load(accepting=True)
    world.run()
    assert running(flight)


def test_a_replica_is_given_no_more_than_it_runs() -> None:
    world = World(chain(max_running=2))
    flights = [world.open(ask(f"q{i}")) for i in range(4)]
    assert [running(flight) for flight in flights] == [True, True, False, False]
    world["first"].load(running=2, accepting=False)  # it says that it is full
    world.run()
    assert world.dispatcher.health().ready, "full is not down"
    finish(world, "q0")
    assert running(flights[2]), "without waiting for its next report"


def test_a_stage_that_has_fed_the_next_has_room_again() -> None:
    plan = make_plan(
        [stage("first", max_running=1), stage("second")], [edge("first", "second")], [output("text", "second")]
    )
    world = World(plan)
    world.open(ask("a"))
    flight = world.open(ask("b"))
    assert not running(flight)
    world["second"].fed(world["second"].rid("a"))
    world.run()
    assert running(flight)


def test_full_replicas_for_too_long_are_an_overload() -> None:
    world = World(chain(max_running=1, queue_timeout_s=5.0))
    world.open(ask("a"))
    flight = world.open(ask("b"))
    world.after(5.1)
    assert end_of(flight) == "overloaded"


def test_draining_turns_away_the_new_and_the_queued() -> None:
    world, runs = full_world()
    queued = world.open(ask("queued"))
    world.dispatcher.drain()
    with pytest.raises(RequestError, match="shutting down") as caught:
        queued.take()
    assert caught.value.kind is ErrorKind.UNAVAILABLE
    with pytest.raises(RequestError, match="shutting down"):
        world.open(ask("new"))
    health = world.dispatcher.health()
    assert (health.draining, health.ready, health.in_flight) == (True, False, 1)
    finish(world, "runs")
    assert end_of(runs) == "result"


def test_abort_all_ends_what_runs_and_what_waits_for_a_retry() -> None:
    world = World(chain())
    runs, retries = world.open(ask("runs")), None
    world.dispatcher.abort_all()
    world.run()
    assert end_of(runs) == "unavailable"
    assert world["first"].cancels
    retries = world.open(ask("retries"))
    world.kill("fake://first-0")
    world.run()
    world.dispatcher.abort_all()
    assert end_of(retries) == "unavailable"
    assert world.dispatcher.health().in_flight == 0
