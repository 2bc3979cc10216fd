"""Whatever happens in whatever order, each request ends exactly once, with pieces of one attempt in order, and nothing
of it is left behind."""

import random

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test
from tests.unit.coordinator.scripted import Replica, World, ask, edge, make_plan, output, stage

from omnipipe.coordinator.flight import Piece
from omnipipe.coordinator.live import LiveFlight
from omnipipe.errors import RequestError
from omnipipe.observe.metrics import End, Refusal
from omnipipe.wire.messages import Failed, Fed, Output

OUTPUTS = {"text": "compose", "audio": "synth"}
NAMES = ("ingest", "left", "compose", "synth")
PLAN = make_plan(
    [stage(name, 2, max_running=3) for name in NAMES],
    [edge("ingest", "left"), edge("ingest", "compose"), edge("left", "compose"), edge("compose", "synth")],
    [output(name, owner, window_chunks=3) for name, owner in OUTPUTS.items()],
    max_in_flight=4,
    max_queued=2,
    request_timeout_s=20.0,
    queue_timeout_s=6.0,
)


class Reader:
    """A client: what it got, and how it ended."""

    def __init__(self, flight: LiveFlight) -> None:
        self.flight = flight
        self.pieces: list[Piece] = []
        self.ends: list[str] = []

    def read(self) -> None:
        try:
            pieces = self.flight.take()
        except RequestError as error:
            self.ends.append(error.kind.value)
            return
        if pieces:
            assert not self.ends, "pieces after the end"
            self.pieces += pieces
        elif pieces is not None:
            self.ends.append("result")

    def close(self) -> None:
        self.flight.close()
        self.read()

    def check(self) -> None:
        assert len(set(self.ends)) <= 1, f"it ended in several ways: {self.ends}"
        whole = [piece for piece in self.pieces if piece.value is not None]
        lost = [piece for piece in self.pieces if piece.value is None]
        assert all(piece.last for piece in lost)
        assert bool(lost) <= (self.flight.lost is not None)
        assert len(lost) < len(OUTPUTS), "what is left of it?"
        assert len({piece.value[0] for piece in whole}) <= 1, "pieces of two attempts"
        for name in OUTPUTS:
            mine = [piece for piece in self.pieces if piece.output == name]
            told = [piece.value[1] for piece in mine if piece.value is not None]
            assert told == list(range(len(told)))
            assert not any(piece.last for piece in mine[:-1])


class Interleavings(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.world = World(PLAN, gateways=2)
        self.readers: list[Reader] = []
        self.closed: set[Reader] = set()
        self.refused = 0
        self.sent: dict[tuple[str, str], int] = {}
        """(rid, output) -> pieces sent so far; -1 once the last was."""

    @rule(outputs=st.sets(st.sampled_from(list(OUTPUTS)), min_size=1), gateway=st.integers(0, 1), timed=st.booleans())
    def submit(self, outputs: set[str], gateway: int, timed: bool) -> None:
        request = ask(f"q{len(self.readers)}", outputs=tuple(sorted(outputs)), timeout_s=3.0 if timed else None)
        try:
            flight = self.world.gateways[gateway].dispatcher.open(request)
        except RequestError:
            self.refused += 1
        else:
            self.readers.append(Reader(flight))

    @rule(seed=st.integers(0, 2**16))
    def something_arrives(self, seed: int) -> None:
        self.world.run_shuffled(random.Random(seed))

    @rule(seed=st.integers(0, 2**16), turns=st.integers(1, 3))
    def things_go_well(self, seed: int, turns: int) -> None:
        pick = random.Random(seed)
        for _ in range(turns):
            self.world.run_shuffled(pick)
            self._stages_work(pick)
            self.world.run_shuffled(pick)
            self.clients_read(pick)

    def _stages_work(self, pick: random.Random) -> None:
        for replica in self.world.replicas.values():
            for rid in list(replica.submits):
                if pick.random() < 0.7:
                    self._work(replica, rid, pick)

    @rule(pick=st.randoms(use_true_random=False), retryable=st.booleans())
    def a_stage_fails(self, pick: random.Random, retryable: bool) -> None:
        if found := self._busy(pick):
            replica, rid = found
            self._say(replica, rid, Failed(rid, replica.stage, "unavailable", "it broke", retryable))

    @rule(pick=st.randoms(use_true_random=False))
    def a_stage_loses_one_that_it_feeds(self, pick: random.Random) -> None:
        if found := self._busy(pick):
            replica, rid = found
            if targets := sorted(replica.submits[rid][1].targets):
                target = pick.choice(targets)
                self._say(replica, rid, Failed(rid, replica.stage, "unavailable", "lost", True, target=target))

    @rule(
        pick=st.randoms(use_true_random=False),
        name=st.sampled_from(["text", "audio", "smell"]),
        seq=st.integers(-1, 4),
        last=st.booleans(),
    )
    def a_stage_talks_nonsense(self, pick: random.Random, name: str, seq: int, last: bool) -> None:
        if found := self._busy(pick):
            replica, rid = found
            if seq != max(0, self.sent.get((rid, name), 0)) or OUTPUTS.get(name) != replica.stage:
                self._say(replica, rid, Output(rid, name, seq, [rid, seq], last))

    @precondition(lambda self: len(self.world.replicas) > 2)
    @rule(pick=st.randoms(use_true_random=False))
    def a_replica_dies(self, pick: random.Random) -> None:
        self.world.kill(pick.choice(sorted(self.world.replicas)))

    @precondition(lambda self: self.world.dead)
    @rule(pick=st.randoms(use_true_random=False))
    def a_replica_comes_back(self, pick: random.Random) -> None:
        address = pick.choice(self.world.dead)
        if address not in self.world.replicas:
            self.world.boot(address)

    @rule(pick=st.randoms(use_true_random=False), stalled=st.booleans(), accepting=st.booleans())
    def a_replica_reports(self, pick: random.Random, stalled: bool, accepting: bool) -> None:
        replica = self.world.replicas[pick.choice(sorted(self.world.replicas))]
        replica.load(running=len(replica.submits), step_s=9.0 if stalled else 0.0, accepting=accepting)

    @rule(seconds=st.sampled_from([0.05, 0.2, 1.0, 4.0]))
    def time_passes(self, seconds: float) -> None:
        self.world.clock.now += seconds
        for gateway in self.world.gateways:
            gateway.dispatcher.sweep()

    def clients_read(self, pick: random.Random) -> None:
        for reader in self.readers:
            if pick.random() < 0.7:
                reader.read()
                reader.check()

    @precondition(lambda self: self.readers)
    @rule(pick=st.randoms(use_true_random=False))
    def a_client_leaves(self, pick: random.Random) -> None:
        reader = pick.choice(self.readers)
        reader.close()
        self.closed.add(reader)

    def teardown(self) -> None:
        for address in set(self.world.dead) - set(self.world.replicas):
            self.world.boot(address)
        for _ in range(12):
            self.world.after(2.0)
            for reader in self.readers:
                reader.read()
        for reader in self.readers:
            reader.read()
            reader.check()
            assert reader.ends, "it never ended"
            if reader.ends[0] == "result" and reader not in self.closed:
                assert {p.output for p in reader.pieces if p.last} == reader.flight.request.outputs
        self._nothing_is_left()

    def _nothing_is_left(self) -> None:
        ended = refused = 0.0
        for gateway in self.world.gateways:
            dispatcher, metrics = gateway.dispatcher, gateway.metrics
            assert not dispatcher.ledger.attempts
            assert not dispatcher.ledger.retrying
            assert len(dispatcher.ledger.deadlines) == 0
            assert (dispatcher.health().in_flight, dispatcher.health().queued) == (0, 0)
            assert (metrics.in_flight.value, metrics.queued.value) == (0, 0)
            assert not any(replica.pinned for name in NAMES for replica in dispatcher.ledger.table.replicas(name))
            ended += sum(metrics._ends[end].value for end in End)
            refused += sum(metrics._refused[why].value for why in Refusal)
        assert ended + refused == len(self.readers) + self.refused

    def _busy(self, pick: random.Random) -> tuple[Replica, str] | None:
        busy = [(replica, rid) for replica in self.world.replicas.values() for rid in replica.submits]
        return pick.choice(busy) if busy else None

    def _say(self, replica: Replica, rid: str, message: Output | Failed | Fed) -> None:
        if replica.submits[rid][0] in replica.wire.peers():
            replica.say(message)

    def _work(self, replica: Replica, rid: str, pick: random.Random) -> None:
        """The next thing that a good stage could say."""
        submit = replica.submits[rid][1]
        if submit.sources and pick.random() < 0.5:
            self._say(replica, rid, Fed(rid, replica.stage))
        for name in submit.outputs:
            seq = self.sent.get((rid, name), 0)
            acked = max((ack.seq + 1 for ack in replica.acks if ack.rid == rid), default=0)
            if 0 <= seq < acked + 3:
                last = pick.random() < 0.4
                self.sent[rid, name] = -1 if last else seq + 1
                fed = bool(submit.sources) and pick.random() < 0.3
                self._say(replica, rid, Output(rid, name, seq, [rid, seq], last, {} if last else None, fed))


@pytest.mark.timeout(30)  # when it finds something, hypothesis takes its time to find the shortest way there
def test_every_interleaving_ends_each_request_once() -> None:
    run_state_machine_as_test(
        Interleavings,
        settings=settings(
            max_examples=60, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
