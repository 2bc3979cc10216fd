"""A stage among peers that say anything in any order, and die: it survives, ends each request once, keeps nothing."""

from collections import Counter
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings
from tests.unit.stage.stand import SINK, TAIL, Stand, submit

from omnipipe.wire.errors import PeerLost
from omnipipe.wire.fake import FakeWire
from omnipipe.wire.messages import Ack, Cancel, Chunk, Failed, Message, Output, Payload

RIDS = ("a", "b", "c")

SCRIPTS: tuple[dict[str, Any], ...] = (
    {"emit": [["text", "t", True], ["notes", "n", True], ["whole", "w"]]},
    {"port": "text", "count": 12},
    {"port": "notes", "count": 12, "size": 300},
    {"copy": "text"},
    {"copy": "notes"},
    {"fail": "x"},
    {"wait": True},
)

rids = st.sampled_from(RIDS)
seqs = st.integers(-1, 6)

submits = st.builds(
    lambda rid, sources, targets, outputs, params, ttl_s: submit(
        rid, sources=sources, targets=targets, outputs=outputs, params=params, ttl_s=ttl_s
    ),
    rids,
    st.sampled_from([["left"], ["left"], ["ticks"], ["ticks"], ["left", "ticks"], ["right", "left"], [], ["nobody"]]),
    st.sampled_from([{"tail": TAIL, "sink": SINK}, {"tail": TAIL}, {"tail": TAIL}, {}, {}, {"tail": SINK}]),
    st.sampled_from([["text"], ["text"], ["text"], [], ["nothing"]]),
    st.sampled_from(SCRIPTS),
    st.sampled_from([30.0, 30.0, 30.0, 0.5, float("nan")]),
)
names = st.sampled_from(["left", "right", "ticks", "notes", "text", "whole"])
payloads = st.builds(Payload, rids, names, names, st.integers(0, 9))
chunks = st.builds(Chunk, rids, names, names, seqs, st.text(max_size=600), st.booleans())
lefts = st.builds(Payload, rids, st.just("left"), st.just("left"), st.integers(0, 9))
well_formed_chunks = st.builds(
    lambda rid, seq, last: Chunk(rid, "ticks", "ticks", seq, "x", last), rids, seqs, st.booleans()
)
acks = st.one_of(st.builds(Ack, rids, names, seqs), st.builds(Ack, rids, st.sampled_from(["text", "notes"]), seqs))

cuts = st.builds(Cancel, rids, st.just("lost"), st.sampled_from(["tail", "sink", "nobody"]))

SAID = {
    "gateway": st.one_of(submits, submits, acks, st.builds(Cancel, rids), cuts),
    "other": st.one_of(submits, st.builds(Cancel, rids), cuts, acks),
    "left": st.one_of(payloads, lefts, lefts, lefts),
    "right": st.one_of(payloads, st.builds(Payload, rids, st.just("right"), st.just("right"), st.integers(0, 9))),
    "ticks": st.one_of(chunks, well_formed_chunks, well_formed_chunks),
    "tail": acks,
    "sink": acks,
}
words = st.sampled_from([*SAID, "gateway", "gateway", "left", "ticks"]).flatmap(
    lambda who: st.tuples(st.just(who), SAID[who])
)
blows = st.one_of(
    st.tuples(st.sampled_from(list(SAID)), st.just("dies")),
    st.tuples(st.just("time"), st.sampled_from([0.1, 1.0, 6.0])),
)
turns = st.integers(0, 9).flatmap(lambda dice: words if dice else blows)


@pytest.mark.timeout(30)
@settings(max_examples=100, deadline=None)
@given(st.lists(turns, min_size=12, max_size=40))
def test_nothing_that_peers_do_breaks_or_fills_a_stage(story: list[tuple[str, Any]]) -> None:
    stand = Stand()
    stand.said = {}
    peers: dict[str, FakeWire] = {name: getattr(stand, name) for name in SAID if name != "other"}
    peers["other"] = stand.add_gateway("other")
    stand.settle()
    submitted: Counter[tuple[str, str]] = Counter()
    for who, what in story:
        if who == "time":
            stand.pass_time(what)
        elif what == "dies":
            stand.network.kill(peers[who])
            stand.settle()
        elif not peers[who].closed:
            submitted[who, what.rid] += 1 if hasattr(what, "ttl_s") else 0
            _say(stand, peers[who], what)
    stand.pass_time(31.0)
    for who in ("gateway", "other"):
        _check_answers(stand.said.get(peers[who], []), {rid: submitted[who, rid] for rid in RIDS})
    assert stand.router.live == 0
    assert stand.engine.load().queued == stand.engine.load().running == 0
    assert stand.engine.next_step(stand.now) is None
    assert len(stand.router._inbound._orphans) == 0
    stand.pass_time(61.0)
    assert len(stand.router._inbound._graves) == 0


def _say(stand: Stand, wire: FakeWire, message: Message) -> None:
    try:
        stand.say(wire, message)
    except (PeerLost, StopIteration):
        pass  # the stage is not connected to this one (any more)


def _check_answers(messages: list[Message], submitted: dict[str, int]) -> None:
    """At most one Failed for each Submit; outputs in order, none after the end."""
    failed = Counter(m.rid for m in messages if isinstance(m, Failed) and not m.target)
    for rid, count in failed.items():
        assert count <= submitted[rid]
    for rid in RIDS:
        pieces = [m for m in messages if isinstance(m, Output) and m.rid == rid]
        seqs_seen = [piece.seq for piece in pieces]
        if submitted[rid] <= 1:
            assert seqs_seen == list(range(len(pieces)))
            assert not any(piece.last for piece in pieces[:-1])
