"""A recording as text for a terminal: where the time went by stage and by hop, and the slowest request as a picture."""

from collections import defaultdict
from collections.abc import Iterable, Sequence

from omnipipe.observe.reading import Moment, Recording, Spread, hops, phases, spread

__all__ = ["render_report", "render_timeline"]

_BAR = 40
"""Width of the picture, in characters."""


def render_report(recording: Recording) -> str:
    """What `omnipipe profile` prints."""
    ids = recording.request_ids()
    lines = [f"{len(ids)} requests, {len(recording.moments)} events from {_processes(recording)} processes"]
    if recording.skipped:
        lines.append(f"{recording.skipped} lines could not be read (a process was killed, or the disk was full)")
    if not ids:
        return "\n".join(lines) + "\n"
    by_phase: dict[tuple[str, str], list[float]] = defaultdict(list)
    for phase in phases(recording):
        by_phase[phase.process, phase.name].append(phase.seconds)
    by_edge: dict[str, list[float]] = defaultdict(list)
    for hop in hops(recording):
        by_edge[hop.edge].append(hop.seconds)
    lines += ["", *_table(("process", "phase"), by_phase.items())]
    lines += ["", *_table(("hop", ""), (((edge, ""), seconds) for edge, seconds in by_edge.items()))]
    slowest = max(ids, key=lambda request_id: _length_ns(recording.timeline(request_id)))
    return "\n".join([*lines, "", "The slowest request:", ""]) + "\n" + render_timeline(recording.timeline(slowest))


def render_timeline(moments: Sequence[Moment]) -> str:
    """One request, an event a line, with a mark where it stands between the first and the last."""
    if not moments:
        return ""
    length = _length_ns(moments) or 1
    lines = [f"request {moments[0].request_id}, {length / 1e6:.3f} ms"]
    width = max(len(moment.process) for moment in moments)
    for moment in moments:
        after = _since_ns(moments[0], moment)
        mark = min(_BAR - 1, max(0, after * _BAR // length))
        detail = " ".join(f"{name}={value}" for name, value in moment.fields.items())
        bar = "·" * mark + "█" + "·" * (_BAR - 1 - mark)
        lines.append(f"{after / 1e6:10.3f} ms  {bar}  {moment.process:<{width}}  {moment.name} {detail}".rstrip())
    return "\n".join(lines) + "\n"


def _table(names: tuple[str, str], rows: Iterable[tuple[tuple[str, str], list[float]]]) -> list[str]:
    body = sorted(rows)
    first, second = (max(len(key[i]) for key in [names, *(key for key, _ in body)]) for i in (0, 1))
    columns = " ".join(f"{column:>9}" for column in ("mean", "p50", "p95", "max"))
    head = f"{names[0]:<{first}}  {names[1]:<{second}}  {'count':>7} {'total ms':>10} {columns}"
    return [head, *(f"{key[0]:<{first}}  {key[1]:<{second}}  {_row(spread(seconds))}" for key, seconds in body)]


def _row(values: Spread) -> str:
    times = (values.mean_s, values.p50_s, values.p95_s, values.max_s)
    return f"{values.count:>7} {values.total_s * 1e3:>10.1f} " + " ".join(f"{t * 1e3:>9.3f}" for t in times)


def _length_ns(moments: Sequence[Moment]) -> int:
    return _since_ns(moments[0], moments[-1])


def _since_ns(first: Moment, moment: Moment) -> int:
    if first.boot and first.boot == moment.boot:
        return moment.mono_ns - first.mono_ns
    return moment.wall_ns - first.wall_ns


def _processes(recording: Recording) -> int:
    return len({(moment.process, moment.pid) for moment in recording.moments})
