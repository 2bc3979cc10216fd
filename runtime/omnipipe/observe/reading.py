"""Turns the files that `events` wrote back into timelines and breakdowns. Pure but for `load_events`.

Files of one folder are one run, whatever processes wrote them. A line cut short by a crash or a full disk is counted
and passed over. Times of processes that share a boot are compared on the monotonic clock, others on the wall clock,
whose differences between machines are not corrected: a hop between machines can come out negative.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from omnipipe.observe.events import EventName, Field

__all__ = ["Hop", "Moment", "Phase", "Recording", "Spread", "hops", "load_events", "parse_events", "phases", "spread"]


@dataclass(frozen=True, slots=True)
class Moment:
    """One event of one request."""

    process: str
    pid: int
    boot: str
    request_id: str
    rid: str
    name: EventName
    wall_ns: int
    mono_ns: int
    fields: dict[str, Field]


@dataclass(frozen=True, slots=True)
class Recording:
    moments: tuple[Moment, ...]
    """In order of time."""
    skipped: int
    """Lines that could not be read."""

    def timeline(self, request_id: str) -> list[Moment]:
        return [moment for moment in self.moments if moment.request_id == request_id]

    def request_ids(self) -> list[str]:
        """In order of their first event."""
        return list(dict.fromkeys(moment.request_id for moment in self.moments))


@dataclass(frozen=True, slots=True)
class Phase:
    """A stretch of one attempt in one process."""

    process: str
    name: str
    owner: str
    """The attempt's rid in a stage, the request's id in a gateway."""
    seconds: float


@dataclass(frozen=True, slots=True)
class Hop:
    """One chunk of one attempt, from being handed to the wire until its consumer had it."""

    edge: str
    rid: str
    seq: int
    seconds: float
    nbytes: int


@dataclass(frozen=True, slots=True)
class Spread:
    count: int
    total_s: float
    mean_s: float
    p50_s: float
    p95_s: float
    max_s: float


class _Head(msgspec.Struct):
    process: str
    pid: int
    boot: str


class _Line(msgspec.Struct):
    request_id: str
    rid: str
    event: EventName
    wall_ns: int
    mono_ns: int


_head = msgspec.json.Decoder(_Head)
_line = msgspec.json.Decoder(_Line)
_fields = msgspec.json.Decoder(dict[str, Field])
_FIXED = frozenset(_Line.__struct_fields__)

_REQUEST_PHASES = (
    ("whole request", EventName.REQUEST_ADMITTED, EventName.REQUEST_END),
    ("admitted to submitted", EventName.REQUEST_ADMITTED, EventName.SUBMITTED),
    ("submitted to first piece", EventName.SUBMITTED, EventName.FIRST_PIECE),
    ("first piece to end", EventName.FIRST_PIECE, EventName.REQUEST_END),
)
_STAGE_PHASES = (
    ("whole stage", EventName.STAGE_RECEIVED, EventName.STAGE_DONE),
    ("submit to inputs ready", EventName.STAGE_RECEIVED, EventName.STAGE_INPUTS_READY),
    ("inputs ready to first output", EventName.STAGE_INPUTS_READY, EventName.FIRST_OUTPUT),
    ("first output to done", EventName.FIRST_OUTPUT, EventName.STAGE_DONE),
)
_STAGE_EVENTS = frozenset(name for _, *pair in _STAGE_PHASES for name in pair)


def load_events(folder: Path) -> Recording:
    """Raises OSError when the folder cannot be read; a folder without events gives an empty recording."""
    return parse_events(path.read_bytes() for path in sorted(folder.glob("events_*.jsonl")))


def parse_events(files: Iterable[bytes]) -> Recording:
    moments: list[Moment] = []
    skipped = 0
    for text in files:
        head = _Head("unknown", 0, "")
        for number, line in enumerate(text.splitlines()):
            try:
                if number == 0:
                    head = _head.decode(line)
                else:
                    moments.append(_moment(head, line))
            except (msgspec.DecodeError, UnicodeDecodeError):  # not JSON, or not an event of a version that we know
                skipped += 1
    one_boot = len({moment.boot for moment in moments}) == 1 and moments[0].boot != ""
    moments.sort(key=lambda m: m.mono_ns if one_boot else m.wall_ns)
    return Recording(tuple(moments), skipped)


def phases(recording: Recording) -> list[Phase]:
    """From the last start before the first end, so that a retry counts from its own attempt."""
    found: list[Phase] = []
    for (process, _, owner), moments in _by_owner(recording).items():
        for name, start, end in (*_REQUEST_PHASES, *_STAGE_PHASES):
            ended = next((m for m in moments if m.name is end), None)
            if ended is None:
                continue
            started = next((m for m in reversed(moments) if m.name is start and m.mono_ns <= ended.mono_ns), None)
            if started is not None:
                found.append(Phase(process, name, owner, (ended.mono_ns - started.mono_ns) / 1e9))
    return found


def hops(recording: Recording) -> list[Hop]:
    """Chunks of which both ends are recorded. A stage's output counts as received with the gateway's first piece."""
    sent = {
        (moment.rid, moment.fields.get("edge"), moment.fields.get("seq")): moment
        for moment in recording.moments
        if moment.name is EventName.HOP_SENT
    }
    outputs = {(rid, str(edge).partition(">")[2], seq): (edge, moment) for (rid, edge, seq), moment in sent.items()}
    found: list[Hop] = []
    for moment in recording.moments:
        match moment.name:
            case EventName.HOP_RECEIVED:
                edge, seq = moment.fields.get("edge"), moment.fields.get("seq")
                start = sent.get((moment.rid, edge, seq))
            case EventName.FIRST_PIECE:
                seq = 0
                edge, start = outputs.get((moment.rid, str(moment.fields.get("output")), seq), ("", None))
            case _:
                continue
        if start is not None and isinstance(seq, int):
            nbytes = start.fields.get("bytes")
            size = nbytes if isinstance(nbytes, int) else 0
            found.append(Hop(str(edge), moment.rid, seq, _between(start, moment), size))
    return found


def spread(seconds: Sequence[float]) -> Spread:
    """Of at least one value. Percentiles are values that were really seen (nearest rank)."""
    ordered = sorted(seconds)
    count, total = len(ordered), sum(ordered)
    p50, p95 = (ordered[min(count - 1, int(count * share))] for share in (0.5, 0.95))
    return Spread(count, total, total / count, p50, p95, ordered[-1])


def _moment(head: _Head, text: bytes) -> Moment:
    line = _line.decode(text)
    fields = {name: value for name, value in _fields.decode(text).items() if name not in _FIXED}
    return Moment(
        head.process, head.pid, head.boot, line.request_id, line.rid, line.event, line.wall_ns, line.mono_ns, fields
    )


def _by_owner(recording: Recording) -> dict[tuple[str, int, str], list[Moment]]:
    """(process, pid, rid) of a stage's events, (process, pid, request id) of a gateway's."""
    found: dict[tuple[str, int, str], list[Moment]] = defaultdict(list)
    for moment in recording.moments:
        owner = moment.rid if moment.name in _STAGE_EVENTS else moment.request_id
        found[moment.process, moment.pid, owner].append(moment)
    return found


def _between(start: Moment, end: Moment) -> float:
    if start.boot and start.boot == end.boot:
        return (end.mono_ns - start.mono_ns) / 1e9
    return (end.wall_ns - start.wall_ns) / 1e9
