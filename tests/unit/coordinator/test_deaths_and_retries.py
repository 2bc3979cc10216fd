"""What a death costs: nothing, an unseen second try, or one clear error."""

import pytest
from tests.unit.coordinator.scripted import World, ask, chain, end_of, make_plan, omni, output, stage, texts

from omnipipe.coordinator.starts import REPLICA_WAIT_S
from omnipipe.errors import ErrorKind, RequestError
from omnipipe.observe.metrics import End, RetryReason
from omnipipe.wire.messages import Fed, Output

STAGES = ("first", "second", "third")


def finish(world: World, request_id: str = "q") -> None:
    """Plays the latest attempt to its end."""
    on = world.holders(request_id)
    for name in ("second", "third"):
        on[name].fed(on[name].rid(request_id))
    on["third"].out(0, "done", last=True, rid=on["third"].rid(request_id))
    world.run()


@pytest.mark.parametrize("name", STAGES)
def test_a_death_before_the_first_piece_is_unseen(name: str) -> None:
    world = World(chain(2))
    flight = world.open()
    before = world.holders()
    world.kill(before[name].address)
    world.run()
    after = world.holders()
    assert after[name] is not before[name]
    for other in set(STAGES) - {name}:
        assert before[other].cancels == [before[other].rid()] or len(before[other].submits) == 2
    finish(world)
    assert texts(flight.take()) == ["done"]
    assert end_of(flight) == "result"


@pytest.mark.parametrize("name", STAGES)
def test_a_death_after_the_first_piece_is_one_clear_error(name: str) -> None:
    world = World(chain(2))
    flight = world.open()
    on = world.holders()
    on["third"].out(0, "a")
    world.run()
    assert texts(flight.take()) == ["a"]
    world.kill(on[name].address)
    world.run()
    with pytest.raises(RequestError, match=f"replica of stage '{name}' was lost") as caught:
        flight.take()
    assert caught.value.kind is ErrorKind.UNAVAILABLE
    assert caught.value.retry_after_s is not None
    for other in set(STAGES) - {name}:
        assert on[other].cancels == [on[other].rid()]


def test_pieces_that_nobody_has_taken_do_not_hinder_a_retry() -> None:
    world = World(chain(2))
    flight = world.open()
    on = world.holders()
    on["third"].out(0, "of the first try")
    world.run()
    world.kill(on["second"].address)
    world.run()
    finish(world)
    assert texts(flight.take()) == ["done"]


@pytest.mark.parametrize(
    ("fed", "harmless"),
    [
        ((), ()),
        (("second",), ("first",)),
        (("third",), ("first", "second")),
        (("second", "third"), ("first", "second")),
    ],
)
@pytest.mark.parametrize("name", STAGES)
def test_a_stage_that_was_fed_past_may_die(fed: tuple[str, ...], harmless: tuple[str, ...], name: str) -> None:
    world = World(chain(2))
    flight = world.open()
    on = world.holders()
    for at in fed:
        on[at].fed()
    on["third"].out(0, "a")
    world.run()
    flight.take()
    world.kill(on[name].address)
    world.run()
    if name in harmless:
        assert flight.take() is None
        on["third"].out(1, "b", last=True)
        world.run()
        assert texts(flight.take()) == ["b"]
    assert end_of(flight) == ("result" if name in harmless else "unavailable")


@pytest.mark.parametrize("with_output", [False, True])
def test_a_fed_stage_speaks_for_those_before_it_that_have_no_other_work(with_output: bool) -> None:
    world = World(chain())
    flight = world.open()
    third = world["third"]
    if with_output:
        third.out(0, "a", fed=True)
    else:
        third.fed()
    world.run()
    table = world.dispatcher.ledger.table
    assert [len(table.replicas(name)[0].pinned) for name in STAGES] == [0, 0, 1]
    world.kill("fake://second-0")
    world.kill("fake://first-0")
    world.run()
    third.out(int(with_output), "b", last=True)
    world.run()
    assert texts(flight.take())[-1] == "b"
    assert end_of(flight) == "result"


def test_a_fed_stage_does_not_speak_for_one_that_has_other_work() -> None:
    world = World(omni())
    flight = world.open(ask(outputs=("text", "audio")))
    world["synth"].fed()
    world.run()
    assert not flight.take()
    world.kill("fake://left-0")
    world.run()
    assert end_of(flight) != "result", "compose owes the text and waits for its inputs"


def test_the_last_output_of_a_stage_that_is_fed_needs_no_cancel() -> None:
    world = World(chain())
    flight = world.open()
    world["third"].out(0, "a", last=True, fed=True)
    world.run()
    assert texts(flight.take()) == ["a"]
    assert end_of(flight) == "result"
    assert not any(replica.cancels for replica in world.replicas.values())


def test_a_branch_is_needed_until_the_fan_in_has_all() -> None:
    world = World(omni())
    flight = world.open(ask(outputs=("text", "audio")))
    world["left"].fed()
    world["right"].fed()
    world.run()
    world.kill("fake://ingest-0")
    world.run()
    assert flight.take() is None
    world["compose"].fed()
    world.run()
    world.kill("fake://left-0")
    world.run()
    assert flight.take() is None
    world["compose"].out(0, "hi", last=True)
    world.run()
    assert texts(flight.take()) == ["hi"]
    world.kill("fake://compose-0")
    world.run()
    assert end_of(flight) == "result in part", "compose still streams to synth"


def test_a_stage_whose_outputs_have_ended_and_whose_targets_are_fed_may_die() -> None:
    world = World(omni())
    flight = world.open(ask(outputs=("text", "audio")))
    for name in ("left", "right", "compose", "synth"):
        world[name].fed()
    world["compose"].out(0, "hi", last=True)
    world.run()
    flight.take()
    world.kill("fake://compose-0")
    world.run()
    world["synth"].out(0, b"beep", output="audio", last=True)
    world.run()
    assert texts(flight.take()) == [b"beep"]
    assert end_of(flight) == "result"


def test_a_death_noticed_at_submit_is_a_death() -> None:
    world = World(chain(2))
    for name in ("first-0", "second-0", "third-0"):
        world.network.kill(world[name].wire)  # the gateway has not polled since
    flight = world.gateways[0].dispatcher.open(ask())
    world.run()
    assert {replica.address[-1] for replica in world.holders().values()} == {"1"}
    finish(world)
    assert end_of(flight) == "result"


def test_all_replicas_of_a_stage_dead_ends_after_a_wait() -> None:
    world = World(chain(2))
    flight = world.open()
    world.kill("fake://second-0")
    world.kill("fake://second-1")
    world.run()
    assert flight.take() is None, "one may be restarted"
    world.after(REPLICA_WAIT_S - 0.1)
    assert flight.take() is None
    world.after(0.2)
    with pytest.raises(RequestError, match="Stage 'second' has no replica") as caught:
        flight.take()
    assert caught.value.kind is ErrorKind.UNAVAILABLE
    assert world.dispatcher.health().in_flight == 0


def test_a_restarted_replica_saves_the_request() -> None:
    world = World(chain())
    flight = world.open()
    world.kill("fake://second-0")
    world.run()
    world.after(1.0)
    world.boot("fake://second-0")
    world.run()
    finish(world)
    assert texts(flight.take()) == ["done"]


def test_a_replica_that_lost_a_connection_but_lives_is_tried_again_after_a_moment() -> None:
    """The one downstream died, its upstream says so before the gateway notices."""
    world = World(chain())
    flight = world.open()
    first_try = world["third"].rid()
    world["second"].fail(kind="unavailable", retryable=True)
    world.run()
    assert world["third"].rid() == first_try, "not at once on the same replicas"
    world.after(0.11)
    assert world["third"].rid() != first_try
    finish(world)
    assert end_of(flight) == "result"


def test_a_retryable_failure_prefers_other_replicas() -> None:
    world = World(chain(2))
    flight = world.open()
    before = world.holders()
    before["second"].fail(kind="unavailable", retryable=True)
    world.run()
    after = world.holders()
    assert all(after[name] is not before[name] for name in STAGES)
    finish(world)
    assert end_of(flight) == "result"


def test_retries_have_an_end() -> None:
    world = World(chain(3))
    flight = world.open()
    for _ in range(3):
        world.holders()["second"].fail(kind="unavailable", retryable=True)
        world.run()
        world.after(0.5)
    assert end_of(flight) == "unavailable"


def test_no_retry_when_the_plan_says_so() -> None:
    world = World(chain(2, max_retries=0))
    flight = world.open()
    world.kill(world.holders()["first"].address)
    world.run()
    assert end_of(flight) == "unavailable"


def test_a_failure_that_would_come_again_is_not_retried() -> None:
    world = World(chain(2))
    flight = world.open()
    world.holders()["first"].fail(kind="internal", retryable=False)
    world.run()
    assert end_of(flight) == "internal"


def test_what_an_abandoned_attempt_still_says_is_ignored() -> None:
    world = World(chain(2))
    flight = world.open()
    before = world.holders()
    old = before["third"].rid()
    before["first"].fail(kind="unavailable", retryable=True)
    world.run()
    before["third"].out(0, "stale", rid=old)
    before["third"].say(Fed(old, "third"))
    before["third"].fail(rid=old)
    world.run()
    finish(world)
    assert texts(flight.take()) == ["done"]
    assert end_of(flight) == "result"
    assert world.metrics.late_messages.value == 3
    assert world.metrics.rejected.value == 0


def test_a_deadline_ends_a_request_that_waits_for_a_retry() -> None:
    world = World(chain())
    flight = world.open(ask(timeout_s=2.0))
    world.kill("fake://first-0")
    world.run()
    world.after(2.1)
    assert end_of(flight) == "deadline"


def test_a_client_leaves_while_its_retry_waits() -> None:
    world = World(chain())
    flight = world.open()
    world.kill("fake://first-0")
    world.run()
    flight.close()
    assert world.dispatcher.health().in_flight == 0
    world.boot("fake://first-0")
    world.run()
    assert not world["first"].submits


def test_a_stalled_replica_counts_as_dead_until_it_moves() -> None:
    world = World(chain(2))
    flight = world.open()
    before = world.holders()
    before["second"].load(running=1, step_s=5.1)
    world.run()
    after = world.holders()
    assert after["second"] is not before["second"]
    assert before["second"].cancels, "its loop lives, so it is told"
    assert world.dispatcher.health().stages[1].routable == 1
    finish(world)
    assert end_of(flight) == "result"
    before["second"].load(running=0, step_s=0.0)
    world.run()
    assert world.dispatcher.health().stages[1].routable == 2


def test_a_long_step_of_an_idle_engine_is_no_stall() -> None:
    world = World(chain())
    world["second"].load(running=0, step_s=100.0)
    world.run()
    assert world.dispatcher.health().ready


def test_a_stall_of_a_stage_that_was_fed_past_harms_nobody() -> None:
    world = World(chain())
    flight = world.open()
    world["second"].fed()
    world.run()
    world["first"].load(running=1, step_s=6.0)
    world.run()
    world["third"].out(0, last=True)
    world.run()
    assert end_of(flight) == "result"


def test_a_connection_that_breaks_and_comes_back_has_forgotten_the_request() -> None:
    world = World(chain())
    flight = world.open()
    old = world["second"].rid()
    gateway, second = world.gateways[0].wire, world["second"].wire
    world.network.partition(gateway, second)
    world.after(1.0)
    world.network.heal(gateway, second)
    world.run()
    world.after(0.11)
    assert world["second"].rid() != old
    finish(world)
    assert end_of(flight) == "result"


def test_a_replica_that_takes_nothing_more_counts_as_dead() -> None:
    world = World(make_plan([stage("s", 4)], [], [output("text", "s")], max_in_flight=20))
    world.network.outbox_messages = 4
    stuck = world["s-3"]
    world.network.hold(world.gateways[0].wire, stuck.wire)
    flights = [world.open(ask(f"q{i}")) for i in range(20)]
    assert not stuck.submits
    world.network.release(world.gateways[0].wire, stuck.wire)
    world.run()
    for i, flight in enumerate(flights):
        replica = world.holders(f"q{i}")["s"]
        replica.out(0, "done", last=True, rid=replica.rid(f"q{i}"))
        world.run()
        assert texts(flight.take()) == ["done"]


def test_two_gateways_on_the_same_stages_do_not_hear_of_each_other() -> None:
    world = World(chain(), gateways=2)
    mine, other = world.open(ask("mine")), world.open(ask("other"), gateway=1)
    third = world["third"]
    third.out(0, "for other", rid=third.rid("other"), last=True)
    world.run()
    assert texts(other.take()) == ["for other"]
    assert mine.take() is None
    mine.close()
    world.run()
    assert third.cancels == [third.rid("mine")]


def test_a_gateway_that_dies_leaves_the_others_requests_alone() -> None:
    world = World(chain(), gateways=2)
    world.open(ask("mine"))
    other = world.open(ask("other"), gateway=1)
    dead = world.gateways.pop(0)
    world.network.kill(dead.wire)
    world.run()
    finish(world, "other")
    assert texts(other.take()) == ["done"]


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("gap", Output("", "text", 1, "x")),
        ("unknown output", Output("", "smell", 0, "x")),
        ("negative", Output("", "text", -1, "x")),
        ("meta", Output("", "text", 0, "x", True, "not a map")),
        ("another stage's Fed", Fed("", "second")),
        ("unknown stage's Fed", Fed("", "sixth")),
    ],
)
def test_nonsense_from_a_stage_ends_the_request_it_names(what: str, message: Output | Fed) -> None:
    world = World(chain())
    flight, bystander = world.open(ask("victim")), world.open(ask("bystander"))
    third = world["third"]
    rid = third.rid("victim")
    if isinstance(message, Output):
        third.say(Output(rid, message.output, message.seq, message.value, message.last, message.meta))
    else:
        third.say(Fed(rid, message.stage))
    world.run()
    assert end_of(flight) == "internal", what
    assert world.metrics.rejected.value == 1
    finish(world, "bystander")
    assert end_of(bystander) == "result"


def test_a_piece_after_the_last_or_twice_is_nonsense() -> None:
    world = World(omni())
    flight = world.open(ask(outputs=("text", "audio")))
    world["compose"].out(0, last=True)
    world.run()
    world["compose"].out(1)
    world.run()
    assert end_of(flight) == "internal"
    flight = world.open(ask("again"))
    for _ in range(2):
        world["compose"].out(0, rid=world["compose"].rid("again"))
    world.run()
    assert texts(flight.take()) == ["x"]
    assert end_of(flight) == "internal"


def test_an_output_from_a_stage_that_does_not_owe_it_is_nonsense() -> None:
    world = World(omni())
    flight = world.open(ask(outputs=("text", "audio")))
    world["left"].out(0)
    world.run()
    assert end_of(flight) == "internal"


def test_messages_for_unknown_requests_are_counted_and_nothing_else() -> None:
    world = World(chain())
    flight = world.open()
    third = world["third"]
    (gateway,) = third.gateways
    third.say(Output("nobody", "text", 0, "x"), to=gateway)
    third.say(Fed("nobody", "third"), to=gateway)
    world.run()
    assert world.metrics.late_messages.value == 2
    assert flight.take() is None


def test_each_request_is_counted_once() -> None:
    world = World(chain(2))
    done, failed, left = (world.open(ask(name)) for name in ("done", "failed", "left"))
    world.kill(world.holders("done")["first"].address)
    world.run()
    finish(world, "done")
    world.holders("failed")["second"].fail(rid=world.holders("failed")["second"].rid("failed"))
    world.run()
    left.close()
    metrics = world.metrics
    assert {end: metrics._ends[end].value for end in End} == {End.RESULT: 1, End.ERROR: 1, End.CANCELLED: 1}
    assert metrics._retries[RetryReason.REPLICA_LOST].value >= 1
    assert (end_of(done), end_of(failed), end_of(left)) == ("result", "internal", "result")
